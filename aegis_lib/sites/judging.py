"""What is wrong with what was seen of a site. Pure: no clock, no I/O, no settings.

The sentences name what was expected and what came instead; they may hold text of the site, cut short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.changes.charset import decoded
from aegis_lib.sites.model import DnsExpectation, JsonAssertion, Site, Terms, Watched
from aegis_lib.sites.seen import Probe, Verdict

_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_NOTHING = object()
_LONGEST_SHOWN = 80


def judge(watched: Watched, probe: Probe, now: datetime) -> Verdict:
    """What is wrong with what was seen. Words may hold text of the site."""
    site, terms = watched.site, watched.terms
    ending = None
    if probe.certificate is not None and site.verify_certificate and probe.failure is None:
        ending = _ending(probe, terms, now)
    failing = probe.failure.words if probe.failure is not None else _unexpected(site, probe)
    measured = failing is None and probe.total_ms is not None
    slow = None
    if measured and terms.max_latency_ms and probe.total_ms and probe.total_ms > terms.max_latency_ms:
        limit = f"more than {terms.max_latency_ms:,} ms"
        slow = f"it took {probe.total_ms:,.0f} ms, {limit}{_where_time_went(probe)}"
    return Verdict(
        failing=failing,
        slow=slow,
        measured=measured,
        ending=ending,
        certificate_seen=probe.certificate is not None and probe.failure is None,
    )


def _ending(probe: Probe, terms: Terms, now: datetime) -> str | None:
    if probe.certificate is None or terms.certificate_days == 0:
        return None
    left = probe.certificate.expires_at - now
    if left > timedelta(days=terms.certificate_days):
        return None
    hours = max(0.0, left.total_seconds() / 3600)
    words = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    at = probe.certificate.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"a certificate of its chain ends in {words}, at {at}"


def _unexpected(site: Site, probe: Probe) -> str | None:
    if site.dns is not None:
        return _wrong_records(site.dns, probe.answers)
    if site.tcp is not None:
        if site.banner is not None and not any(site.banner in said for said in probe.answers):
            said = f"; it said {_shown(probe.answers[0])}" if probe.answers else " and said nothing"
            return f"the port did not say {_shown(site.banner)}{said}"
        return None
    if not status_fits(probe.status or 0, site.expect_status):
        return f"it answered {probe.status}, expected is {', '.join(site.expect_status)}"
    if site.http == "2" and probe.http_version != "2":
        return f"it answered in HTTP/{probe.http_version or '?'}, expected is HTTP/2"
    return _wrong_text(site, probe)


def _wrong_text(site: Site, probe: Probe) -> str | None:
    body = probe.body or b""
    if site.contains or site.lacks:
        text = decoded(body, probe.content_type)
        missing = next((words for words in site.contains if words not in text), None)
        if missing is not None:
            return f"the page does not contain {_shown(missing)}"
        found = next((words for words in site.lacks if words in text), None)
        if found is not None:
            return f"the page contains {_shown(found)}, which it must not"
    if site.json_says:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return "the answer is no JSON"
        return next((wrong for one in site.json_says if (wrong := _wrong_value(one, document))), None)
    return None


def _wrong_records(wanted: DnsExpectation, answers: Sequence[str]) -> str | None:
    found = {_record(answer) for answer in answers}
    expected = {_record(answer) for answer in wanted.answers}
    shown = ", ".join(sorted(answers)[:5]) or "nothing"
    what = f"{wanted.name} {wanted.record}"
    if missing := expected - found:
        return f"{what} lacks {', '.join(sorted(missing))}; there is {shown}"
    if wanted.exact and expected and (more := found - expected):
        return f"{what} has {', '.join(sorted(more)[:5])}, which is not expected"
    return None


def _record(answer: str) -> str:
    return " ".join(word.removesuffix(".") for word in answer.lower().split())


def _where_time_went(probe: Probe) -> str:
    parts = [
        f"{name} {spent:,.0f}"
        for name, spent in (("DNS", probe.dns_ms), ("connect", probe.connect_ms), ("TLS", probe.tls_ms))
        if spent is not None and spent >= 1
    ]
    if probe.first_byte_ms is not None:
        parts.append(f"first byte after {probe.first_byte_ms:,.0f}")
    return f" ({', '.join(parts)} ms)" if parts else ""


def status_fits(status: int, ranges: Sequence[str]) -> bool:
    """Whether a status is one of `200`, `200-299` and so on."""
    for one in ranges:
        low, _, high = one.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def value_at(document: Any, path: str) -> Any:
    """What stands at a path such as `items[0].id`; `_NOTHING` where there is nothing."""
    here = document
    for key, place in _STEP.findall(path.removeprefix("$")):
        if key and isinstance(here, dict) and key in here:
            here = here[key]
        elif place and isinstance(here, list) and int(place) < len(here):
            here = here[int(place)]
        else:
            return _NOTHING
    return here


def _wrong_value(wanted: JsonAssertion, document: Any) -> str | None:
    found = value_at(document, wanted.path)
    if found is _NOTHING:
        return f"its JSON has no {wanted.path}"
    said = f"its JSON says {wanted.path} is {_shown(json.dumps(found, ensure_ascii=False))}"
    if wanted.equals is not None and not _same(found, wanted.equals):
        return f"{said}, expected is {_shown(json.dumps(wanted.equals, ensure_ascii=False))}"
    if wanted.at_least is None and wanted.at_most is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return f"{said}, which is no number"
    if wanted.at_least is not None and not found >= wanted.at_least:
        return f"{said}, expected is {wanted.at_least:g} or more"
    if wanted.at_most is not None and not found <= wanted.at_most:
        return f"{said}, expected is {wanted.at_most:g} or less"
    return None


def _same(found: Any, wanted: str | float | bool) -> bool:
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _shown(text: str) -> str:
    folded = " ".join(text.split())
    return repr(folded if len(folded) <= _LONGEST_SHOWN else folded[: _LONGEST_SHOWN - 1] + "…")
