"""What people read in answer to commands, and about this job. Whatever comes from outside is made harmless.

Nothing of what somebody wrote is repeated, but for names that have the form of a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from aegis_lib.alerts.model import Alert, Message, Phase, Severity
from aegis_lib.approvals.model import Approval, State
from aegis_lib.clock import iso
from aegis_lib.commands.model import AskedRun, Availability, JobLine, Verb
from aegis_lib.commands.policy import USAGE
from aegis_lib.containers.model import StrikeRecord
from aegis_lib.errors import AegisError
from aegis_lib.markdown import inline
from aegis_lib.tasks.model import TaskStatus

LISTED = 5
_PROBLEM = "commands:textless"

_MEANINGS: dict[Verb, str] = {
    Verb.TASK: "put something on the list of tasks; the first line is its title",
    Verb.STATUS: "how everything stands",
    Verb.JOBS: "every job: next run, how the last one went",
    Verb.RUN: "run a job now, besides its schedule",
    Verb.PAUSE: "start no further scheduled run of a job",
    Verb.RESUME: "undo that",
    Verb.ACK: "somebody looked at a sick container: its strikes are forgotten",
    Verb.APPROVE: "let a proposed mail be sent",
    Verb.REJECT: "never let it be sent",
    Verb.HELP: "this list",
}


def help_text() -> str:
    """Every command and what it does."""
    return "\n".join(f"`{USAGE[verb]}` - {meaning}" for verb, meaning in _MEANINGS.items())


def task_noted(number: int) -> str:
    """A task is on the list."""
    return f"Task {number} is on the list."


def asked(run: AskedRun) -> str:
    """A run was asked for, or refused by the limit."""
    if run.refused:
        other = f" (`{_code(run.beside)}`)" if run.beside else ""
        return (
            f"`{_code(run.job_id)}` was not started: another run of it{other} is active, and the limit is "
            "one at a time. Send the command again when that one is over."
        )
    said = [f"`{_code(run.job_id)}`: run `{_code(run.run)}` is asked for."]
    if not run.availability.running:
        said.append("Scheduling is stopped: it waits until somebody resumes it (`aegis resume --all`).")
    elif not run.availability.worker_online:
        said.append("No worker is online: it waits until there is one.")
    if run.paused:
        said.append("The job is paused; this one run starts all the same.")
    return " ".join(said)


def paused(job: JobLine) -> str:
    """A job is paused."""
    return f"`{_code(job.id)}` is paused. Undo: `!resume {_code(job.id)}`"


def resumed(job: JobLine) -> str:
    """A job goes on."""
    return f"`{_code(job.id)}` goes on: {inline(job.schedule or 'on demand')}."


def acknowledged(name: str, engines: Sequence[str]) -> str:
    """The strikes of a container are forgotten."""
    return f"`{_code(name)}` ({', '.join(inline(engine) for engine in engines)}): acknowledged."


def no_case(name: str, known: Sequence[str]) -> str:
    """There was nothing to acknowledge."""
    shown = ", ".join(f"`{_code(other)}`" for other in known[:20])
    mend = f"Open cases: {shown}." if known else "No container has a strike."
    return f"Nothing was done. There is no open case of a container `{_code(name)}`. {mend}"


def decided(approval: Approval) -> str:
    """What a decision did, and about what it was."""
    verdict = "is approved and will be sent within minutes" if approval.state is State.APPROVED else ""
    verdict = verdict or "is rejected and will never be sent"
    about = f"to {inline(approval.recipient)}: {inline(approval.subject, 100)}"
    return f"Proposal {approval.number} ({about}) {verdict}."


def refused(error: AegisError) -> str:
    """Somebody who knows said no; what and why."""
    what, _, mend = str(error).partition(" Fix: ")
    return f"Nothing was done. {inline(what, 600)} {inline(mend[:1].upper() + mend[1:], 600)}".rstrip()


def too_late(sent_at: datetime) -> str:
    """A command that changes something was read long after it had been written."""
    return (
        f"Nothing was done. This was written at {iso(sent_at)}, while commands were not read, and may no "
        "longer be meant. Send it again if it is."
    )


def unclear(error: AegisError | None) -> str:
    """What became of a command cannot be known."""
    reason = f" {inline(str(error), 600)}" if error else ""
    return (
        "It is not known whether this was carried out: no answer came, however often it was tried."
        f"{reason} Look (`!status`, `!jobs`) before you send it again."
    )


def not_now(error: AegisError) -> str:
    """What was asked for cannot be told at the moment."""
    return f"That cannot be told now. {inline(str(error), 600)}"


def broken() -> str:
    """A command that failed in a way nobody foresaw."""
    return "This command failed in an unforeseen way; the log of the job `discord_commands` says how."


# --- lists ---


def jobs_table(jobs: Sequence[JobLine], availability: Availability, now: datetime) -> str:
    """Every job in a line."""
    if not jobs:
        return "There are no jobs on the server yet."
    width = max(len(job.id) for job in jobs)
    lines = [
        f"{_code(job.id):<{width}}  {_next(job, now):<11}  {_last(job, now)}".rstrip()
        for job in sorted(jobs, key=lambda job: job.id)
    ]
    head = f"{'job':<{width}}  {'next (UTC)':<11}  last"
    said = standing(availability)
    return "\n".join(["```", head, *lines, "```", *([said] if said else [])])


def standing(availability: Availability) -> str:
    """Why no run starts, where that is so."""
    if not availability.running:
        return "Scheduling is stopped: no run starts until `aegis resume --all`."
    if not availability.worker_online:
        return "No worker is online: no run starts until there is one."
    return ""


def jobs_status(jobs: Sequence[JobLine], availability: Availability) -> str:
    """Jobs in a sentence or three."""
    held = [f"`{_code(job.id)}`" for job in jobs if job.paused]
    bad = [
        f"`{_code(job.id)}` ({inline(job.last_outcome)})"
        for job in jobs
        if job.last_outcome in {"Failed", "Crashed", "TimedOut", "Degraded"}
    ]
    said = [f"Jobs: {len(jobs)}, running now: {sum(job.running for job in jobs)}."]
    if held:
        said.append(f"Paused: {_few(held)}.")
    said.append(f"Last run not good: {_few(bad)}." if bad else "The last run of each was good.")
    if why := standing(availability):
        said.append(why)
    return " ".join(said)


def alerts_status(alerts: Sequence[Alert]) -> str:
    """Open alerts in a sentence."""
    if not alerts:
        return "Alerts: none open."
    return f"Alerts: {len(alerts)} open: {_few([inline(alert.title, 80) for alert in alerts])}."


def containers_status(cases: Sequence[StrikeRecord]) -> str:
    """Sick containers in a sentence."""
    if not cases:
        return "Containers: none has a strike."
    return "Containers with strikes: " + _few([f"{inline(c.title)} ({c.strikes})" for c in cases]) + "."


def tasks_status(counts: Mapping[TaskStatus, int]) -> str:
    """Tasks in a sentence."""
    shown = (TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.BLOCKED)
    return "Tasks: " + ", ".join(f"{counts.get(s, 0)} {s.value.replace('_', ' ')}" for s in shown) + "."


def approvals_status(waiting: Sequence[Approval]) -> str:
    """Proposals that wait, in a sentence."""
    if not waiting:
        return "Proposals: none waits for a decision."
    numbers = [f"{approval.number} ({inline(approval.subject, 60)})" for approval in waiting]
    return f"Proposals that wait for a decision: {_few(numbers)}."


def status(parts: Sequence[str], now: datetime) -> str:
    """All of that."""
    return "\n".join([f"**Aegis** at {iso(now)}", *(f"- {part}" for part in parts)])


# --- about this job ---


def textless(since: datetime) -> Message:
    """People are told that commands arrive without their text."""
    return Message(
        title="Commands cannot be read",
        body="Discord withholds the text of messages from the bot, so that no command is seen. Switch on the "
        "**Message Content Intent** on the application's Bot page. What was written meanwhile is lost to "
        "us: send it again.",
        severity=Severity.WARNING,
        key=f"{_PROBLEM}:{iso(since)}",
        problem=_PROBLEM,
    )


def textless_over(since: datetime) -> Message:
    """They can be read again."""
    return Message(
        title="Commands can be read again",
        body=f"Discord had withheld the text of messages since {iso(since)}. Commands of that time were "
        "not seen.",
        severity=Severity.INFO,
        key=f"{_PROBLEM}:{iso(since)}:over",
        problem=_PROBLEM,
        phase=Phase.OVER,
    )


TEXTLESS = (
    "Discord withholds the text of messages: switch on the Message Content Intent on the application's Bot "
    "page."
)
UNREADABLE = (
    "The channel has messages and none can be read: give the bot Read Message History there, unless all were "
    "deleted."
)


def _code(name: str | None) -> str:
    """A name for between backticks."""
    return "".join(c for c in name or "" if c.isprintable() and c != "`")[:128]


def _few(things: Sequence[str]) -> str:
    more = len(things) - LISTED
    return ", ".join(things[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%m-%d %H:%M}"


def _next(job: JobLine, now: datetime) -> str:
    if job.paused:
        return "paused"
    return _moment(job.next_run, now) if job.next_run else "-"


def _last(job: JobLine, now: datetime) -> str:
    if job.running:
        return "running now"
    if job.last_outcome is None:
        return "-"
    at = f" {_moment(job.last_run, now)}" if job.last_run else ""
    return f"{_code(job.last_outcome)}{at}"
