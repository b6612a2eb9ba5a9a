"""What each command does, through the ports of whoever can do it. Knows nothing of chats and of answering.

What comes back is an answer for people; a refusal is one too. Whatever may be repeated after a crash is
harmless when repeated: reading, pausing, a run or a task under the message's own key. The rest happens in the
caller's transaction, together with the keeping of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aegis_lib.approvals.model import Approval
from aegis_lib.commands import messages, policy
from aegis_lib.commands.model import Command, CommandRecord, CommandState, Response, Verb
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.ports.commands import ContainerCases, JobControl, OpenAlerts
from aegis_lib.ports.containers import StrikeStore
from aegis_lib.ports.tasks import TaskList

REMOTE = frozenset({Verb.RUN, Verb.PAUSE, Verb.RESUME, Verb.JOBS, Verb.STATUS})
"""Done or asked elsewhere than in our database, so in no transaction of it."""

Decide = Callable[[int, str, datetime], Approval]


@dataclass(frozen=True)
class Hands:
    """Whoever can do what commands ask for. `approve` and `reject` take the number, who it is, and when."""

    jobs: JobControl
    tasks: TaskList
    containers: ContainerCases
    strikes: StrikeStore
    alerts: OpenAlerts
    approve: Decide
    reject: Decide
    waiting: Callable[[datetime], list[Approval]]


def carry_out(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    """Do it, and say what came of it.

    Raises:
        DependencyUnavailable: somebody did not answer, so that it is not known whether it is done.
    """
    try:
        return _ACTS[command.verb](command, record, hands, now)
    except PermanentFailure as refusal:
        return Response(text=messages.refused(refusal), state=CommandState.FAILED)


def _task(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    title, details = policy.task_of(command.text)
    number = hands.tasks.add(
        title, details=details, source="discord", source_key=_key(record), created_at=now
    )
    return Response(text=messages.task_noted(number), changed=f"task {number} put on the list")


def _status(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    try:
        jobs = messages.jobs_status(hands.jobs.jobs(), hands.jobs.availability())
    except (DependencyUnavailable, PermanentFailure) as away:
        jobs = messages.not_now(away)
    parts = [
        jobs,
        messages.alerts_status(hands.alerts.newest(100)),
        messages.containers_status(hands.strikes.open_cases(now)),
        messages.tasks_status(hands.tasks.counts()),
        messages.approvals_status(hands.waiting(now)),
    ]
    return Response(text=messages.status(parts, now))


def _jobs(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    try:
        return Response(text=messages.jobs_table(hands.jobs.jobs(), hands.jobs.availability(), now))
    except DependencyUnavailable as away:
        return Response(text=messages.not_now(away), state=CommandState.FAILED)


def _run(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    run = hands.jobs.run(command.name, _key(record))
    if run.refused:
        return Response(text=messages.asked(run), state=CommandState.FAILED)
    return Response(text=messages.asked(run), changed=f"run {run.run} of {run.job_id} asked for")


def _pause(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    job = hands.jobs.pause(command.name)
    return Response(text=messages.paused(job), changed=f"{job.id} paused")


def _resume(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    job = hands.jobs.resume(command.name)
    return Response(text=messages.resumed(job), changed=f"{job.id} resumed")


def _ack(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    engines = hands.containers.acknowledge(command.name, now)
    if not engines:
        said = messages.no_case(command.name, hands.containers.names(now))
        return Response(text=said, state=CommandState.FAILED)
    done = messages.acknowledged(command.name, engines)
    return Response(text=done, changed=f"container {command.name} acknowledged")


def _approve(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    decided = hands.approve(command.number, who(record), now)
    return Response(text=messages.decided(decided), changed=f"proposal {decided.number} approved")


def _reject(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    decided = hands.reject(command.number, who(record), now)
    return Response(text=messages.decided(decided), changed=f"proposal {decided.number} rejected")


def _help(command: Command, record: CommandRecord, hands: Hands, now: datetime) -> Response:
    return Response(text=messages.help_text())


_ACTS: dict[Verb, Callable[[Command, CommandRecord, Hands, datetime], Response]] = {
    Verb.TASK: _task,
    Verb.STATUS: _status,
    Verb.JOBS: _jobs,
    Verb.RUN: _run,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.ACK: _ack,
    Verb.APPROVE: _approve,
    Verb.REJECT: _reject,
    Verb.HELP: _help,
}


def who(record: CommandRecord) -> str:
    """Who wrote a command, for the records: the id is what counts."""
    return f"Discord {record.author_id} ({record.author_name})"


def _key(record: CommandRecord) -> str:
    """What makes a repetition of the same command the same thing."""
    return f"discord:{record.message_id}"
