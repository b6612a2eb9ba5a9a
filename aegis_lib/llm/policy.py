"""What a model is sent, what is kept of it, how long a failing provider is left alone. Pure decisions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta

from aegis_lib.llm.model import NoReply, Trouble

HIDDEN = "***"
SHORTEST_SECRET_CHARACTERS = 6
KEPT_CHARACTERS = 20_000
"""How much of one text is written down."""

_LOOKED_AT = 4
"""So many times of what may be sent are looked through: much of it may be invisible or secret."""
_OVERHEAD_TOKENS = 200
_BYTES_PER_TOKEN = 3
"""Fewer than any tokenizer needs on average, so that an estimate is rather too high than too low."""

_FIRST_HOLD = timedelta(seconds=30)
_LONGEST_HOLD = timedelta(minutes=10)
_LONGEST_ASKED_HOLD = timedelta(hours=1)

_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        r"\bsk-[A-Za-z0-9_-]{16,}",
        r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abeoprs]-)[A-Za-z0-9_-]{16,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bAIza[A-Za-z0-9_-]{35}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/-]{16,}=*",
        r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)",
        r"(?i)(?<=password: )\S+|(?<=password=)[^\s&]+|(?<=passwort: )\S+|(?<=api_key=)[^\s&]+",
    )
)


def redacted(text: str, secrets: Collection[str]) -> str:
    """The text without these secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET_CHARACTERS:
            text = text.replace(secret, HIDDEN)
    for pattern in _SECRETS:
        text = pattern.sub(HIDDEN, text)
    return text


def visible(text: str) -> str:
    """The text without characters that a person does not see and a model reads: controls, tags, joiners."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in plain if c in "\n\t" or unicodedata.category(c)[0] != "C")


def harmless(text: str, secrets: Collection[str], most_characters: int) -> str:
    """The beginning of a text as it may be sent: what people see of it, without secrets.

    In this order, so that neither an invisible character nor the cut makes a secret unrecognisable.
    """
    return redacted(visible(text[: most_characters * _LOOKED_AT]), secrets)[:most_characters]


def set_apart(
    untrusted: Mapping[str, str], token: str, secrets: Collection[str], most_characters: int
) -> str:
    """Strangers' texts as data, each between marks that hold `token`, which nobody could know beforehand.

    Each is made harmless by itself: what looks like a secret without an end must not take its mark along.
    """
    if not untrusted:
        return "There are no data."
    pieces = []
    for name, text in untrusted.items():
        cut = f"\n[{len(text) - most_characters} more characters]" if len(text) > most_characters else ""
        pieces.append(f"<<< {name} {token}\n{harmless(text, secrets, most_characters)}{cut}\n>>> {token}")
    return "\n\n".join(pieces)


def asked_again(data: str, answer: str, problem: str, token: str, secrets: Collection[str]) -> str:
    """The same data once more, with the answer that could not be used and what is wrong with it."""
    wrong = set_apart({"answer": answer}, token, secrets, 2000)
    return (
        f"{data}\n\nYou answered this before, and the answer could not be used:\n\n{wrong}\n\n"
        f"What is wrong with it: {problem}\nAnswer again, in the form that you are given."
    )


def estimate(*texts: str, answer_tokens: int) -> int:
    """How many tokens a request may take, question and answer together; rather too many."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return size // _BYTES_PER_TOKEN + _OVERHEAD_TOKENS + answer_tokens


def hold(failed: NoReply, failures_before: int) -> timedelta | None:
    """How long nobody should ask a provider that failed: as long as it asked, else longer each time.

    None where only this one request was the trouble.
    """
    if failed.trouble is Trouble.REJECTED:
        return None
    if failed.retry_after_seconds is not None:
        return min(timedelta(seconds=failed.retry_after_seconds), _LONGEST_ASKED_HOLD)
    doublings: int = min(failures_before, 10)
    return min(_FIRST_HOLD * (1 << doublings), _LONGEST_HOLD)


def day_of(now: datetime) -> date:
    """The UTC day whose budget pays."""
    return now.astimezone(UTC).date()


def renewal(day: date) -> datetime:
    """When the budget of the day after begins."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def short(text: str, most: int) -> str:
    """At most so many characters, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def bare_json(text: str) -> str:
    """The answer without the code fence that some models put around it."""
    found = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", text, re.DOTALL)
    return found[1] if found else text
