"""The certificates that a server showed, as libcurl lists them. Trusts none and verifies nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from aegis_lib.sites.seen import Certificate

_FORMAT = "%b %d %H:%M:%S %Y %Z"


def shown(listed: Sequence[Sequence[Sequence[bytes]]]) -> Certificate | None:
    """The certificate of the server, with the first end of validity in its chain; None without one.

    A root at the end of the chain does not count: whoever looks uses a root of their own.
    """
    chain = [{_text(pair[0]): _text(pair[1]) for pair in one if len(pair) == 2} for one in listed]
    ends = []
    for place, one in enumerate(chain):
        end = _moment(one.get("Expire date", ""))
        if end is not None and (place == 0 or one.get("Subject") != one.get("Issuer")):
            ends.append(end)
    if not ends:
        return None
    return Certificate(
        expires_at=min(ends),
        subject=_common_name(chain[0].get("Subject", "")),
        issuer=_common_name(chain[0].get("Issuer", "")),
    )


def _text(written: bytes) -> str:
    return written.decode("utf-8", "replace")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _common_name(text: str) -> str:
    """`example.org` of `C = GB, O = Example, CN = example.org`; without a common name, all of it."""
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "CN":
            return value.strip()[:200]
    return text[:200]
