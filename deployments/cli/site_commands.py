"""`aegis sites`: how watched sites stand, what was wrong with them, and a look at one right now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.sites.model import SitesConfig, Watched
    from aegis_lib.sites.seen import Incident, Probe
    from deployments.sites import Look

sites = App(
    name="sites", group=INSIGHT, help="Show how watched sites stand and what was wrong, and look at one now."
)
Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))]
UPTIME_DAYS = 7
_COLOURS = {"up": "green", "down": "bold red", "unknown": "yellow"}


@sites.default
@sites.command(name="list")
def list_sites(*, tag: str | None = None, json: Json = False) -> int:
    """List the watched sites: state, latency, uptime of a week, what is wrong.

    Keys of --json, per site: name, target, state, since, checked_at, status,
    latency_ms, certificate_expires_at, problem, tags, uptime (0 to 1, of 7
    days), median_ms, p95_ms.

    For example:
        aegis sites
        aegis sites list --tag shop

    Args:
        tag: Only sites with this tag.
        json: Print JSON for programs.
    """
    from aegis_lib import config
    from aegis_lib.db import database

    now = clock.utcnow()
    listed = [one.site for one in config.load().sites.watched() if tag is None or tag in one.site.tags]
    with database.connect() as db:
        known = db.sites.standings()
        uptimes = db.sites.uptime(now - timedelta(days=UPTIME_DAYS))
    rows = []
    for site in listed:
        standing, uptime = known.get(site.name), uptimes.get(site.name)
        rows.append(
            {
                "name": site.name,
                "target": site.target,
                "state": standing.state.value if standing else "unknown",
                "since": standing.since if standing else None,
                "checked_at": standing.checked_at if standing else None,
                "status": standing.status if standing else None,
                "latency_ms": standing.latency_ms if standing else None,
                "certificate_expires_at": standing.certificate_expires_at if standing else None,
                "problem": standing.problem if standing else None,
                "tags": site.tags,
                "uptime": uptime.good / uptime.checks if uptime and uptime.checks else None,
                "median_ms": uptime.median_ms if uptime else None,
                "p95_ms": uptime.p95_ms if uptime else None,
            }
        )
    if json:
        screen.as_json(rows)
        return OK
    screen.table(
        ("SITE", "STATE", "SINCE (UTC)", "LATENCY", "UPTIME 7 D", "CERTIFICATE", "PROBLEM"),
        [
            (
                str(row["name"]),
                screen.plain(str(row["state"]), _COLOURS[str(row["state"])]),
                screen.moment(_moment(row["since"]), now),
                _ms(row["latency_ms"]),
                _percent(row["uptime"]),
                _day(_moment(row["certificate_expires_at"])),
                _plain(str(row["problem"] or "")),
            )
            for row in rows
        ],
        empty="No site is watched. Name some in the section sites of aegis.yaml; docs/sites.md shows how.",
    )
    return OK


@sites.command
def show(name: str, /, *, limit: Limit = 10, json: Json = False) -> int:
    """Show one site: what is expected, how it stands, its newest checks, incidents and changes.

    Keys of --json: name, target, terms, standing, uptime, checks, incidents,
    changes.

    For example:
        aegis sites show shop
        aegis sites show shop -n 50 --json

    Args:
        name: The name of the site in aegis.yaml.
        limit: How many checks, incidents and changes, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib import config
    from aegis_lib.db import database

    now = clock.utcnow()
    watched = _known(config.load().sites, name)
    with database.connect() as db:
        standing = db.sites.standings().get(name)
        uptime = db.sites.uptime(now - timedelta(days=UPTIME_DAYS), name).get(name)
        checks = db.sites.newest_checks(name, limit)
        incidents = db.sites.newest_incidents(limit, name)
        changes = db.sites.newest_changes(limit, name)
    if json:
        screen.as_json(
            {
                "name": name,
                "target": watched.site.target,
                "terms": watched.terms,
                "standing": standing,
                "uptime": uptime,
                "checks": checks,
                "incidents": incidents,
                "changes": changes,
            }
        )
        return OK
    state = standing.state.value if standing else "unknown"
    screen.say(screen.plain(f"{name}  {_plain(watched.site.target)}", "bold"))
    since = f" since {screen.moment(standing.since, now)}" if standing else ": it was not checked yet"
    screen.say(screen.plain(f"{state}{since}", _COLOURS[state]))
    if standing and standing.problem:
        screen.say(screen.plain(_plain(standing.problem)))
    if uptime and uptime.checks:
        said = f"up in {uptime.good} of {uptime.checks} checks of {UPTIME_DAYS} days"
        screen.say(f"{said}; median {_ms(uptime.median_ms)}, 95 % within {_ms(uptime.p95_ms)}")
    screen.say("")
    screen.table(
        ("CHECKED (UTC)", "GOOD", "STATUS", "TOTAL", "DNS", "CONNECT", "TLS", "FIRST BYTE", "PROBLEM"),
        [
            (
                screen.moment(one.checked_at, now),
                screen.plain("yes", "green") if one.ok else screen.plain("no", "bold red"),
                str(one.status or "-"),
                _ms(one.total_ms),
                _ms(one.dns_ms),
                _ms(one.connect_ms),
                _ms(one.tls_ms),
                _ms(one.first_byte_ms),
                _plain(one.problem or "") + (" (maintenance)" if one.maintenance else ""),
            )
            for one in checks
        ],
        empty="No check is kept.",
    )
    if incidents:
        screen.say("")
        _table_of_incidents(incidents, now)
    for change in changes:
        screen.say(
            screen.plain(f"\n{screen.moment(change.changed_at, now)}  {_plain(change.summary)}", "bold")
        )
        for line in change.diff.splitlines():
            screen.say(screen.plain(_plain(line, 300)))
    return OK


@sites.command
def check(name: str, /, *more: str, json: Json = False) -> int:
    """Look at sites right now and print what is seen. Nothing is kept, nobody else is told.

    The exit code is 1 when one of them fails.
    Keys of --json, per site: site, good, problem, slow, certificate, attempts,
    probe (status, http_version, url, redirects, address, times in ms, ...).

    For example:
        aegis sites check shop
        aegis sites check shop blog --json

    Args:
        name: The name of a site in aegis.yaml.
        more: More names.
        json: Print JSON for programs.
    """
    from aegis_lib import config
    from deployments import sites as looking

    settings = config.load().sites
    names = list(dict.fromkeys((name, *more)))
    for one in names:
        _known(settings, one)
    found = looking.look(settings, names, clock.utcnow())
    if json:
        screen.as_json(found)
    else:
        for place, seen in enumerate(found):
            if place:
                screen.say("")
            _say_look(seen)
    return OK if len(found) == len(names) and all(one.good for one in found) else FAILED


@sites.command
def incidents(
    name: str | None = None,
    /,
    *,
    going_on: Annotated[bool, Parameter(name="--open", negative="", show_default=False)] = False,
    limit: Limit = 30,
    json: Json = False,
) -> int:
    """List incidents, newest first.

    Keys of --json, per incident: id, site, kind (down, slow, certificate),
    severity, opened_at, closed_at, reason, ending, alert_key, opening_told_at,
    reminded_at, closing_told_at, shared.

    For example:
        aegis sites incidents
        aegis sites incidents shop --open

    Args:
        name: Only of this site, also one that is no longer watched.
        going_on: Only those that go on.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    with database.connect() as db:
        found = db.sites.newest_incidents(limit, name, only_open=going_on)
    if json:
        screen.as_json(found)
        return OK
    _table_of_incidents(found, clock.utcnow())
    return OK


def _known(settings: SitesConfig, name: str) -> Watched:
    found = settings.find(name)
    if found is None:
        raise NothingSuch(
            f"aegis.yaml has no site named {name!r} ({len(settings.sites)} have names). "
            "Fix: `aegis sites` lists them."
        )
    return found


def _say_look(seen: Look) -> None:
    probe = seen.probe
    screen.say(
        screen.plain(
            f"{seen.site}: {'good' if seen.good else 'FAILING'}", "green" if seen.good else "bold red"
        )
    )
    for what, text in _facts(seen, probe):
        screen.say(screen.plain(f"  {what:<12} {_plain(text, 300)}"))


def _facts(seen: Look, probe: Probe) -> list[tuple[str, str]]:
    facts = [(what, text) for what, text in (("problem", seen.problem), ("slow", seen.slow)) if text]
    if probe.status is not None:
        facts.append(
            ("answer", f"{probe.status}, HTTP/{probe.http_version or '?'}, {probe.size_bytes or 0:,} bytes")
        )
    if probe.redirects:
        facts.append(("redirects", f"{probe.redirects}, to {probe.url}"))
    if probe.address:
        facts.append(("address", probe.address))
    facts += [("answers", one) for one in probe.answers]
    times = (
        ("DNS", probe.dns_ms), ("connect", probe.connect_ms), ("TLS", probe.tls_ms),
        ("first byte at", probe.first_byte_ms), ("total", probe.total_ms),
    )  # fmt: skip
    facts.append(("times", ", ".join(f"{name} {_ms(spent)}" for name, spent in times if spent is not None)))
    if probe.certificate is not None:
        said = f"{probe.certificate.subject or '?'}, by {probe.certificate.issuer or '?'}"
        facts.append(("certificate", f"{said}, valid until {clock.iso(probe.certificate.expires_at)}"))
    if seen.certificate:
        facts.append(("", seen.certificate))
    if seen.attempts > 1:
        facts.append(("attempts", str(seen.attempts)))
    return facts


def _table_of_incidents(found: list[Incident], now: datetime) -> None:
    screen.table(
        ("SITE", "INCIDENT", "FROM (UTC)", "LASTED", "REASON"),
        [
            (
                one.site,
                screen.plain(one.kind.value, "bold red" if one.closed_at is None else ""),
                screen.moment(one.opened_at, now),
                clock.duration((one.closed_at or now) - one.opened_at)
                + ("" if one.closed_at else ", goes on"),
                _plain(one.reason),
            )
            for one in found
        ],
        empty="No incident.",
    )


def _plain(text: str, longest: int = 160) -> str:
    from aegis_lib.markdown import plain

    return plain(text, longest)


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _ms(value: object) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _percent(value: object) -> str:
    return f"{value * 100:.2f} %" if isinstance(value, int | float) else "-"


def _day(moment: datetime | None) -> str:
    return f"until {moment:%Y-%m-%d}" if moment else "-"
