"""What the ledger of runs says to people. Text only; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.clock import iso
from aegis_lib.ledger.model import Kind, Problem, Tally, TickOutcome
from aegis_lib.markdown import inline

_MENDS = {
    Kind.MISSED: "Look first: is a worker online, does the server plan runs? `aegis doctor` tells. "
    "`aegis ledger` shows every tick; where a schedule was changed by hand, run `aegis deploy`.",
    Kind.STUCK: "Look first: does a run hang, or is the job's slot taken by a run that died? "
    "`aegis history JOB` shows its runs.",
    Kind.STALE: "Look first: what did its last runs say? `aegis history JOB` shows them; a job that ends as "
    "NoInput for long has a broken source.",
    Kind.OUTAGE: "Nothing is to be done about these ticks; what must run was started again.",
}


def sentence(problem: Problem) -> str:
    """One problem in one sentence, for a person, a record and a log."""
    job, detail = problem.job_id or "", f" ({problem.detail})" if problem.detail else ""
    match problem.kind:
        case Kind.MISSED:
            when = f"at {iso(problem.since)}"
            if problem.ticks > 1:
                when = f"{problem.ticks} times from {iso(problem.since)} to {iso(problem.last)}"
            again = " It has run since." if problem.over else ""
            return f"{job} did not run {when}{detail}.{again}"
        case Kind.OUTAGE:
            return (
                f"Aegis did not run from {iso(problem.since)} to {iso(problem.last)}{detail}: "
                f"{_ticks(problem.ticks)} did not happen."
            )
        case Kind.STUCK:
            return (
                f"{job} has not run since before {iso(problem.since)}: its last {_ticks(problem.ticks)} were "
                f"all turned away, the newest as {problem.detail}."
            )
        case Kind.STALE:
            return f"{job} has given nothing new since {iso(problem.since)}{detail}."


def over_sentence(problem: Problem) -> str:
    """The end of a problem in one sentence."""
    match problem.kind:
        case Kind.MISSED:
            missed = f"{_ticks(problem.ticks)} missed since {iso(problem.since)}"
            return f"{problem.job_id}: no run is missing any more ({missed})."
        case Kind.STUCK:
            return f"{problem.job_id}: runs are no longer turned away."
        case Kind.STALE:
            return f"{problem.job_id}: its output is fresh again."
        case Kind.OUTAGE:
            return f"The outage of {iso(problem.since)} is over."


def opened(problems: Sequence[Problem]) -> Message:
    """One message about everything that one pass found."""
    jobs = sorted({problem.job_id for problem in problems if problem.job_id})
    kinds = {problem.kind for problem in problems}
    if kinds == {Kind.OUTAGE}:
        title = "Aegis was not running"
    elif len(jobs) == 1:
        title = f"{jobs[0]}: {_short(next(p for p in problems if p.job_id))}"
    else:
        title = f"{len(jobs)} jobs did not run as planned"
    going_on = any(not p.over and p.kind in {Kind.MISSED, Kind.STUCK} for p in problems)
    lines = [f"- {inline(sentence(problem), 500)}" for problem in problems]
    lines += ["", *(_MENDS[kind] for kind in Kind if kind in kinds)]
    if any(not problem.over for problem in problems):
        lines.append("Said once; another message follows when it is over.")
    lasting = problems[0].key if len(problems) == 1 and not problems[0].over else None
    return Message(
        title=title[:200],
        body="\n".join(lines),
        severity=Severity.CRITICAL if going_on else Severity.WARNING,
        key=problems[0].key,
        problem=lasting,
    )


def over(problem: Problem) -> Message:
    """The message that a problem is over."""
    return Message(
        title=f"{problem.job_id} is well again"[:200],
        body=inline(over_sentence(problem), 500),
        severity=Severity.INFO,
        key=f"{Phase.OVER}:{problem.key}",  # another message than the one that it ends
        problem=problem.key,
        phase=Phase.OVER,
    )


def table(tally: Tally) -> list[dict[str, str | int]]:
    """A row for each job: how many ticks were due, and how many had each outcome that occurred."""
    seen = {name for job in tally.jobs for name in job.outcomes}
    columns = [outcome.value for outcome in TickOutcome if outcome.value in seen]
    return [
        {"job": job.job_id, "due": job.due, **{name: job.outcomes.get(name, 0) for name in columns}}
        for job in tally.jobs
    ]


def summary(
    ticks: Mapping[str, int], since: datetime, open_problems: Sequence[Problem], undelivered: str | None
) -> str:
    """One sentence about a pass."""
    order = {outcome.value: place for place, outcome in enumerate(TickOutcome)}
    listed = ", ".join(f"{ticks[name]} {name}" for name in sorted(ticks, key=lambda name: order[name]))
    said = f"{_ticks(sum(ticks.values()))} since {iso(since)}: {listed}." if ticks else "No tick was due."
    if open_problems:
        said = f"Red: {' '.join(sentence(problem) for problem in open_problems)} {said}"
    if undelivered:
        said += f" The message could not be delivered, the next pass tries again: {undelivered}"
    return said


def _short(problem: Problem) -> str:
    match problem.kind:
        case Kind.MISSED:
            return "a run was missed" if problem.ticks == 1 else f"{problem.ticks} runs were missed"
        case Kind.STUCK:
            return "every run is turned away"
        case Kind.STALE:
            return "nothing new for too long"
        case Kind.OUTAGE:
            return "not running"


def _ticks(count: int) -> str:
    return "1 tick" if count == 1 else f"{count} ticks"
