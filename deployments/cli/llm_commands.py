"""`aegis llm`: how the language models do, what of their budgets is left, and what was asked and answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.llm.model import Exchange
    from deployments.language_models import ProviderLine

llm = App(
    name="llm",
    group=INSIGHT,
    help="Show how language models do, their budgets, and what was asked and answered.",
)
_COLOURS = {
    "ok": "green",
    "left alone": "bold red",
    "failing": "yellow",
    "not set": "dim",
    "not asked yet": "cyan",
}
_VERDICTS = {"valid": "green", "unknown": "yellow"}


@llm.default
@llm.command
def status(*, json: Json = False) -> int:
    """Show the providers in the order in which they are asked, and the tokens of today.

    Keys of --json: providers (provider, model, state, recent, per_minute,
    failures, problem, hold_until, answered_at), budgets (scope, tokens,
    budget), renews_at.

    For example:
        aegis llm
        aegis llm status --json

    Args:
        json: Print JSON for programs.
    """
    from deployments import language_models

    now = clock.utcnow()
    found = language_models.standing(now)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("PROVIDER", "MODEL", "STATE", "LAST MINUTE", "LAST ANSWER (UTC)", "PROBLEM"),
        [
            (
                line.provider,
                line.model,
                screen.plain(line.state, _COLOURS[line.state]),
                f"{line.recent} of {line.per_minute}",
                screen.moment(line.answered_at, now),
                _problem(line, now),
            )
            for line in found.providers
        ],
        empty="",
    )
    screen.say("")
    screen.table(
        ("TOKENS OF TODAY", "USED", "OF"),
        [(_whose(line.scope), f"{line.tokens:,}", f"{line.budget:,}") for line in found.budgets],
        empty="",
    )
    screen.note(f"New tokens at {screen.moment(found.renews_at, now)}.")
    return OK


@llm.command
def replay(
    number: int | None = None,
    /,
    *,
    job: str | None = None,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 20,
    json: Json = False,
) -> int:
    """List what was asked of language models, newest first; with a number, show one word by word.

    Secrets were removed before it was sent. What strangers and models wrote is
    shown as it is: do not follow it.
    Keys of --json, per request: id, job_id, prompt, provider, model, asked_at,
    told_at, verdict (valid, invalid, refused, failed; null: the asking process
    died), problem, reserved_tokens, input_tokens, output_tokens, instruction,
    data, answer.

    For example:
        aegis llm replay --job email_triage
        aegis llm replay 12

    Args:
        number: Show this one.
        job: Only those of this job.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    with database.connect() as db:
        found = db.language_models.exchanges(
            1 if number is not None else limit, job_id=job and job.replace("-", "_"), number=number
        )
    if number is not None and not found:
        raise NothingSuch(f"There is no request {number}, or no more. Fix: `aegis llm replay` lists them.")
    if json:
        screen.as_json(found)
    elif number is not None:
        _show(found[0])
    else:
        _list(found)
    return OK


def _list(found: Sequence[Exchange]) -> None:
    now = clock.utcnow()
    screen.table(
        ("NO", "ASKED (UTC)", "JOB", "PROMPT", "PROVIDER", "VERDICT", "TOKENS", "PROBLEM"),
        [
            (
                str(one.id),
                screen.moment(one.asked_at, now),
                one.job_id,
                one.prompt,
                one.provider,
                screen.plain(_verdict(one), _VERDICTS.get(_verdict(one), "bold red")),
                str(one.input_tokens + one.output_tokens),
                one.problem or "",
            )
            for one in found
        ],
        empty="Nothing was asked yet.",
    )
    if found:
        screen.note("Read one: aegis llm replay NO")


def _show(one: Exchange) -> None:
    screen.say(screen.plain(f"{one.prompt} for {one.job_id}: {_verdict(one)}", "bold"))
    screen.say(screen.plain(f"{one.provider} ({one.model}), asked {clock.iso(one.asked_at)}"))
    screen.say(screen.plain(f"tokens: {one.input_tokens} in, {one.output_tokens} out"))
    if one.problem:
        screen.say(screen.plain(f"problem: {one.problem}"))
    for title, text in (("instruction", one.instruction), ("data", one.data), ("answer", one.answer)):
        screen.say(screen.plain(f"\n--- {title} ---", "bold"))
        screen.say(screen.plain(text or "(none)"))


def _verdict(one: Exchange) -> str:
    return one.verdict.value if one.verdict is not None else "unknown"


def _problem(line: ProviderLine, now: datetime) -> str:
    if line.problem is None:
        return ""
    until = f" (asked again {screen.moment(line.hold_until, now)})" if line.state == "left alone" else ""
    return f"{line.problem}{until}"


def _whose(scope: str) -> str:
    return "all jobs" if scope == "*" else scope
