"""The texts about containers that people read. Decides nothing.

Logs and health output come from containers and are untrusted: stripped of control characters, bounded, and
fenced so that they cannot end their block of code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.clock import iso
from aegis_lib.containers.model import LOCAL_ENGINE, Inspected, RestartOutcome, StrikeRecord, Treatment
from aegis_lib.markdown import inline

LARGEST_LOG_BYTES = 8_000

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|$)|[ -/]*[0-~])", re.MULTILINE)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

_TRIED = {
    None: "A restart was begun and not finished",
    RestartOutcome.RESTARTED: "Restarted",
    RestartOutcome.VERIFIED: "Restarted, was healthy again",
    RestartOutcome.STILL_SICK: "Restarted, stayed sick",
    RestartOutcome.UNVERIFIED: "Restarted, did not become healthy in time",
    RestartOutcome.REFUSED: "The engine refused the restart",
    RestartOutcome.GONE: "It was gone when it should be restarted",
    RestartOutcome.UNKNOWN: "A restart was asked for, the engine did not answer in time",
    RestartOutcome.INTERRUPTED: "A restart was begun and not finished",
}


def clean(text: str, longest_bytes: int = LARGEST_LOG_BYTES) -> str:
    """Output of a container as harmless text: nothing invisible or active, the last bytes only."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    plain = _UNSEEN.sub("", _ESCAPES.sub("", plain))
    return plain.encode("utf-8", "replace")[-longest_bytes:].decode("utf-8", "ignore").strip("\n")


def fenced(text: str) -> str:
    """The text as a block of code that it cannot end by itself."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def escalation(
    case: StrikeRecord,
    rule: Treatment,
    found: Inspected | None,
    logs: str,
    affected: Sequence[str] = (),
) -> Message:
    """The call for a human. `affected` are containers that are sick because they depend on this one."""
    sections = [
        f"**{inline(case.title)}**: {inline(case.reason)}.",
        "\n".join(f"- {line}" for line in _facts(case, rule, found, affected)),
    ]
    if found is not None and (said := clean(found.health_output or found.error, 1000)):
        sections += ["Health check or engine says:", fenced(said)]
    if shown := clean(logs):
        sections += ["Last log lines:", fenced(shown)]
    sections.append(f"Nothing more is done until a human looks. When mended: `{_acknowledge(case)}`")
    return Message(
        title=_title("needs a human", case),
        body="\n\n".join(sections),
        severity=Severity.CRITICAL,
        key=f"{case.key}:escalation",
        problem=_problem(case),
    )


def reminder(case: StrikeRecord, now: datetime) -> Message:
    """Said again after hours in which nobody reacted and the container stayed sick."""
    hours = (now - case.first_strike_at).total_seconds() / 3600
    return Message(
        title=_title("still needs a human", case),
        body=f"**{inline(case.title)}**: {inline(case.reason)}. Sick for {hours:.0f} h, since "
        f"{iso(case.first_strike_at)}.\n\nWhen it is mended: `{_acknowledge(case)}`",
        severity=Severity.CRITICAL,
        key=f"{case.key}:reminder:{iso(case.reminded_at or case.escalated_at or now)}",
        problem=_problem(case),
        phase=Phase.AGAIN,
    )


def recovery(case: StrikeRecord, now: datetime) -> Message:
    """People who were called are told that it is over."""
    minutes = (now - case.first_strike_at).total_seconds() / 60
    return Message(
        title=_title("is well again", case),
        body=f"**{inline(case.title)}** is well again after {minutes:.0f} min (since "
        f"{iso(case.first_strike_at)}). The strikes are forgotten.",
        severity=Severity.INFO,
        key=f"{case.key}:recovery",
        problem=_problem(case),
        phase=Phase.OVER,
    )


def ended(case: StrikeRecord, words: str, now: datetime) -> Message:
    """People who were called are told that there is nothing to mend any more; `words` say why."""
    return Message(
        title=_title(words, case),
        body=f"**{inline(case.title)}** {inline(words)}. Nothing is to be done.",
        severity=Severity.INFO,
        key=f"{case.key}:ended",
        problem=_problem(case),
        phase=Phase.OVER,
    )


def _problem(case: StrikeRecord) -> str:
    """What the messages about one case have in common; a key has at most 200 characters."""
    return case.key if len(case.key) <= 200 else f"{case.key[:150]}:{iso(case.first_strike_at)}"


def tried(case: StrikeRecord, rule: Treatment) -> str:
    """What has been done about it so far, in one sentence."""
    if case.attempts and case.last_restart_at:
        return f"{_TRIED[case.last_restart_outcome]} ({iso(case.last_restart_at)})"
    if case.quarantined_at:
        return "Not restarted"
    return f"Not restarted ({rule.withheld})" if not rule.may_restart else "Not restarted"


def _facts(
    case: StrikeRecord, rule: Treatment, found: Inspected | None, affected: Sequence[str]
) -> list[str]:
    facts = [f"{case.strikes} strikes since {iso(case.first_strike_at)}", tried(case, rule)]
    if case.quarantined_at:
        facts.append(
            f"Quarantined: {case.restarts_today} restarts in 24 hours, {rule.restarts_per_day} are allowed"
        )
    if found is not None:
        facts.append(f"State {found.state}, exit code {found.exit_code}")
        facts.append("Killed for lack of memory: " + ("yes" if found.oom_killed else "no"))
        facts.append(f"Restarts by the engine itself: {found.restarts}")
    if affected:
        facts.append("Sick because they depend on it: " + ", ".join(inline(name) for name in affected))
    return facts + [inline(note) for note in rule.notes]


def _acknowledge(case: StrikeRecord) -> str:
    elsewhere = "" if case.engine == LOCAL_ENGINE else f" --engine {_plain(case.engine)}"
    return f"aegis strikes ack {_plain(case.name)}{elsewhere}"


def _title(what: str, case: StrikeRecord) -> str:
    return f"Container {_plain(case.title)} {what}"[:200]


def _plain(name: str) -> str:
    """The name as engines allow them; any other character is dropped."""
    return re.sub(r"[^\w./-]", "", name)[:150]
