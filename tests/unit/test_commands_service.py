"""What one look at the channel does, in order, and what it does not do; crashes at every step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from aegis_lib.commands import service
from aegis_lib.commands.model import Availability, CommandsConfig, CommandsReport, CommandState
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.outcome import Outcome
from aegis_lib.tasks.model import TaskStatus
from tests.fakes.alerts import FakeNotifier
from tests.fakes.commands import ADA, EVE, NOON, FakeChannel, FakeCommandStore, FakeHands
from tests.fakes.memory import FakeMemory

AWAY = DependencyUnavailable("Prefect server", "no answer.")


class World:
    """A channel that has been read up to noon, and all that commands may touch."""

    def __init__(self, *, begun: bool = True) -> None:
        self.channel, self.store, self.hands = FakeChannel(), FakeCommandStore(), FakeHands()
        self.memory, self.notifier = FakeMemory(NOON), FakeNotifier()
        self.store.joined = [self.hands.tasks, self.hands.cases, self.hands.approvals, self.memory]
        self.allowed = {ADA}
        self.seconds = 0.0
        if begun:
            self.channel.say(0, "good morning")
            self.look()
            self.channel.calls.clear()

    def look(self, now: datetime = NOON + timedelta(seconds=30)) -> CommandsReport:
        return service.run_cycle(
            self.channel, self.store, self.hands.all(), self.memory, self.notifier,
            allowed=self.allowed, config=CommandsConfig(), now=now, monotonic=lambda: self.seconds,
        )  # fmt: skip

    def ask(self, content: str, author: str = ADA, **fields: object) -> str:
        """Write it, look once, and give the answer."""
        number = self.channel.say(len(self.channel.messages), content, author, **fields)
        self.look()
        return self.channel.answer_to(number)


@pytest.fixture
def world() -> World:
    return World()


# --- what each command does ---


def test_a_task_is_on_both_lists_and_remembered(world: World) -> None:
    said = world.ask("!task buy milk\nand bread")
    (task,) = world.hands.tasks.rows.values()
    assert said == "Task 1 is on the list."
    assert (task.title, task.details, task.status) == (
        "buy milk",
        "buy milk\nand bread",
        TaskStatus.PENDING,
    )
    assert (task.source, task.source_key) == ("discord", f"discord:{world.channel.messages[-1].id}")
    (row,) = world.store.rows.values()
    assert (row.content, row.author_id, row.state) == (
        "!task buy milk\nand bread",
        ADA,
        CommandState.COMPLETED,
    )
    (event,) = world.memory.of_type("discord_command")
    assert event.summary == f"By command of Discord {ADA} (ada): task 1 put on the list"


def test_a_run_is_asked_for_under_the_messages_own_key(world: World) -> None:
    said = world.ask("!run health-check")
    assert said == "`health_check`: run `run-1` is asked for."
    assert list(world.hands.jobs.asked) == [f"discord:{world.channel.messages[-1].id}"]


def test_a_run_beside_another_is_refused_as_the_command_line_does(world: World) -> None:
    world.hands.jobs.occupied = {"health_check"}
    said = world.ask("!run health_check")
    assert "was not started: another run of it (`brave-otter`) is active" in said
    assert world.memory.recorded == []


@pytest.mark.parametrize(
    ("availability", "said"),
    [
        (Availability(running=False, worker_online=True), "Scheduling is stopped"),
        (Availability(running=True, worker_online=False), "No worker is online"),
    ],
)
def test_a_run_that_will_wait_says_for_what(world: World, availability: Availability, said: str) -> None:
    world.hands.jobs.available = availability
    assert said in world.ask("!run health_check")


def test_an_unknown_job_is_refused_with_a_suggestion(world: World) -> None:
    said = world.ask("!run helth_check")
    assert said.startswith("Nothing was done. There is no job")
    assert "Did you mean health\\_check?" in said


def test_a_job_is_paused_and_goes_on(world: World) -> None:
    assert world.ask("!pause health_check") == "`health_check` is paused. Undo: `!resume health_check`"
    assert world.hands.jobs.lines["health_check"].paused
    assert "this one run starts all the same" in world.ask("!run health_check")
    assert world.ask("!resume health_check") == "`health_check` goes on: every 5 min."
    assert not world.hands.jobs.lines["health_check"].paused


def test_jobs_are_listed(world: World) -> None:
    world.ask("!pause site_check")
    lines = world.ask("!jobs").splitlines()
    assert lines[0] == lines[-1] == "```"
    assert lines[2].split() == ["health_check", "-", "Completed", "12:00:00"]
    assert lines[3].split() == ["site_check", "paused", "Failed"]


def test_a_container_is_acknowledged(world: World) -> None:
    assert world.ask("!ack web") == "`web` (local): acknowledged."
    said = world.ask("!ack web")
    assert said == "Nothing was done. There is no open case of a container `web`. No container has a strike."


def test_a_proposal_is_decided_in_the_writers_name(world: World) -> None:
    said = world.ask("!approve 7")
    assert said.startswith("Proposal 7 (to grace\\@example.org: Your \\*question\\* \\@everyone) is approved")
    assert world.hands.approvals.decisions == [("approve", 7, f"Discord {ADA} (ada)")]
    assert "rejected" in world.ask("!reject 7")
    assert "There is no proposal 8" in world.ask("!approve 8")


def test_the_status_tells_of_everything(world: World) -> None:
    said = world.ask("!status")
    for part in ("Jobs: 2", "Last run not good: `site_check` (Failed)", "Alerts: none", "Tasks: 0 pending",
                 "Proposals that wait for a decision: 7"):  # fmt: skip
        assert part in said


def test_the_status_says_what_it_cannot_know(world: World) -> None:
    world.hands.jobs.broken = [AWAY]
    said = world.ask("!status")
    assert "That cannot be told now. Prefect server: no answer." in said
    assert "Tasks: 0 pending" in said


def test_help_names_every_command(world: World) -> None:
    said = world.ask("!help")
    for verb in ("task", "status", "jobs", "run", "pause", "resume", "ack", "approve", "reject", "help"):
        assert f"`!{verb}" in said


def test_a_mistake_is_answered_and_does_nothing(world: World) -> None:
    assert "Usage: `!run JOB`" in world.ask("!run a b")
    assert world.hands.jobs.calls == []
    assert world.store.row(world.channel.messages[-1].id).state is CommandState.FAILED


# --- who may, and what is a command ---


def test_somebody_else_gets_one_reaction_and_no_word(world: World) -> None:
    number = world.channel.say(1, "!run health_check", EVE)
    report = world.look()
    world.look()
    assert world.channel.reactions == [(number, "🚫")]
    assert world.channel.replies == []
    assert world.hands.jobs.calls == []
    assert world.store.row(number).state is CommandState.REFUSED
    assert (report.refused, report.answered) == (1, 0)


def test_with_nobody_allowed_nobody_is_obeyed(world: World) -> None:
    world.allowed = set()
    number = world.channel.say(1, "!run health_check")
    world.look()
    assert world.channel.reactions == [(number, "🚫")]
    assert world.hands.jobs.calls == []


def test_whoever_was_taken_off_the_list_meanwhile_is_not_obeyed(world: World) -> None:
    number = world.channel.say(1, "!run health_check")
    world.hands.jobs.broken = [AWAY]
    world.look()
    world.allowed = {EVE}
    world.look()
    assert world.channel.reactions == [(number, "🚫")]
    assert world.hands.jobs.asked == {}


def test_whoever_is_allowed_later_is_not_obeyed_for_what_was_refused(world: World) -> None:
    world.channel.failures["react"] = [DependencyUnavailable("discord", "away.")]
    number = world.channel.say(1, "!run health_check", EVE)
    with pytest.raises(DependencyUnavailable):
        world.look()
    world.allowed = {ADA, EVE}
    world.look()
    assert world.channel.reactions == [(number, "🚫")]
    assert world.hands.jobs.calls == []


def test_what_was_done_is_answered_even_to_somebody_who_is_off_the_list_by_then(world: World) -> None:
    number = world.channel.say(1, "!run health_check")
    world.channel.failures["reply"] = [DependencyUnavailable("discord", "away.")]
    with pytest.raises(DependencyUnavailable):
        world.look()
    world.allowed = {EVE}
    world.look()
    assert "asked for" in world.channel.answer_to(number)
    assert world.channel.reactions == []


def test_strangers_never_keep_those_who_may_waiting(world: World) -> None:
    for number in range(1, 60):
        world.channel.say(number, "!help", EVE)
    mine = world.channel.say(60, "!help")
    world.look(NOON + timedelta(seconds=70))
    assert world.channel.answer_to(mine)


@pytest.mark.parametrize("fields", [{"by_person": False}, {"content": "hello"}])
def test_bots_webhooks_and_talk_are_not_even_kept(world: World, fields: dict[str, object]) -> None:
    world.channel.say(1, **{"content": "!run health_check", **fields})  # type: ignore[arg-type]
    assert world.look().outcome is Outcome.NO_INPUT
    assert world.store.rows == {}


def test_history_is_not_carried_out() -> None:
    world = World(begun=False)
    world.channel.say(-5, "!run health_check")
    world.channel.say(0, "!run health_check")
    assert world.look().started
    world.look()
    assert world.store.rows == {}
    assert "asked for" in world.ask("!run health_check")


def test_an_empty_channel_is_read_from_its_first_message_on() -> None:
    world = World(begun=False)
    world.look()
    world.channel.messages.clear()
    assert "asked for" in world.ask("!run health_check")


def test_an_edit_does_nothing(world: World) -> None:
    world.channel.say(1, "hello")
    done = world.channel.say(2, "!task one")
    world.look()
    world.channel.messages[1] = world.channel.messages[1].model_copy(
        update={"content": "!task two", "edited": True}
    )
    world.channel.messages[2] = world.channel.messages[2].model_copy(
        update={"content": "!task three", "edited": True}
    )
    world.look()
    assert [task.title for task in world.hands.tasks.rows.values()] == ["one"]
    assert world.channel.answer_to(done)


def test_a_deleted_command_is_carried_out_and_answered_once_all_the_same(world: World) -> None:
    world.channel.failures["reply"] = [DependencyUnavailable("discord", "away.")]
    number = world.channel.say(1, "!task one")
    with pytest.raises(DependencyUnavailable):
        world.look()
    del world.channel.messages[1]
    world.look()
    assert len(world.hands.tasks.rows) == 1
    assert world.channel.answer_to(number)


def test_a_message_that_turns_up_after_a_newer_one_is_not_missed(world: World) -> None:
    world.channel.say(9, "!task newer")
    world.look()
    world.channel.say(3, "!task older")
    world.look()
    assert {task.title for task in world.hands.tasks.rows.values()} == {"newer", "older"}


def test_what_was_written_long_ago_changes_nothing_and_is_answered(world: World) -> None:
    run, task = world.channel.say(1, "!run health_check"), world.channel.say(2, "!task one")
    world.look(NOON + timedelta(hours=3))
    assert world.hands.jobs.calls == []
    assert "Nothing was done. This was written at 2026-01-25T12:00:01Z" in world.channel.answer_to(run)
    assert world.channel.answer_to(task) == "Task 1 is on the list."


# --- exactly once ---


class Died(BaseException):
    """The process ended here."""


STEPS: dict[str, Callable[[World], tuple[object, str, bool]]] = {
    "before the first word is kept": lambda w: (w.store, "take_in", True),
    "after it was kept": lambda w: (w.store, "take_in", False),
    "before the claim": lambda w: (w.store, "claim", True),
    "after the claim": lambda w: (w.store, "claim", False),
    "before the answer is kept": lambda w: (w.store, "settle", True),
    "after the answer was kept": lambda w: (w.store, "settle", False),
    "before the reply": lambda w: (w.channel, "reply", True),
    "after the reply": lambda w: (w.channel, "reply", False),
    "before the receipt": lambda w: (w.store, "part_sent", True),
    "after the receipt": lambda w: (w.store, "part_sent", False),
    "before the end": lambda w: (w.store, "answered", True),
    "after the end": lambda w: (w.store, "answered", False),
}


def effects(world: World) -> tuple[int, int, bool, int, int]:
    """Runs asked for, tasks, whether the job is paused, decisions, acknowledgements that found a case."""
    hands = world.hands
    paused = hands.jobs.lines["health_check"].paused
    acknowledged = 1 - len(hands.cases.open_cases)
    return len(hands.jobs.asked), len(hands.tasks.rows), paused, len(hands.approvals.decisions), acknowledged


EFFECTS = {
    "!run health_check": (1, 0, False, 0, 0),
    "!task one": (0, 1, False, 0, 0),
    "!pause health_check": (0, 0, True, 0, 0),
    "!approve 7": (0, 0, False, 1, 0),
    "!ack web": (0, 0, False, 0, 1),
    "!jobs": (0, 0, False, 0, 0),
}


@pytest.mark.parametrize("nonces", ["remembered", "forgotten"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("content", EFFECTS)
def test_a_run_that_dies_anywhere_leaves_one_effect_and_one_answer(
    content: str, step: str, nonces: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    number = world.channel.say(1, content)
    target, method, before = STEPS[step](world)
    real = getattr(target, method)

    def dying(*args: object, **kwargs: object) -> object:
        if before:
            raise Died
        real(*args, **kwargs)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(target, method, dying)
        with pytest.raises(Died):
            world.look()
    if nonces == "forgotten":
        world.channel.replies = [(to, part, "old") for to, part, _ in world.channel.replies]
    for _ in range(2):
        world.look()
    assert world.channel.answer_to(number)
    assert effects(world) == EFFECTS[content]
    assert len(world.memory.recorded) == (0 if content == "!jobs" else 1)
    assert world.store.count_open(world.channel.channel_id) == 0


def test_a_second_run_at_the_same_time_leaves_everything_alone(world: World) -> None:
    world.channel.say(1, "!task one")
    with world.store.exclusive():
        report = world.look()
    assert report.summary == "Another run is carrying out commands."
    assert world.channel.calls == []


def test_a_command_that_another_run_took_over_is_left_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = world.channel.say(1, "!task one")
    settle = world.store.settle

    def taken(*args: object) -> bool:
        row = world.store.row(number)
        world.store.rows[row.id] = row.model_copy(update={"claim": "somebody else"})
        return settle(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "settle", taken)
    world.look()
    assert world.channel.replies == []
    assert world.memory.recorded == []


def test_an_answer_in_parts_goes_on_where_it_stopped(world: World) -> None:
    for number in range(60):
        job = world.hands.jobs.lines["health_check"]
        world.hands.jobs.lines[f"job_{number:02}"] = job.model_copy(
            update={"id": f"job_{number:02}" + "x" * 30}
        )
    asked = world.channel.say(1, "!jobs")
    real, count = world.channel.reply, []

    def reply(to: int, part: str, nonce: str) -> None:
        count.append(part)
        if len(count) == 2:
            raise DependencyUnavailable("discord", "away.")
        real(to, part, nonce)

    world.channel.reply = reply  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable):
        world.look()
    world.look()
    parts = [part for to, part, _ in world.channel.replies if to == asked]
    assert len(parts) >= 3
    assert len(parts) == len(set(parts))
    assert all(len(part) <= 2000 and part.count("```") == 2 for part in parts)


# --- others that do not answer ---


def test_a_server_that_does_not_answer_is_asked_again_by_the_next_run(world: World) -> None:
    number = world.channel.say(1, "!run health_check")
    world.hands.jobs.broken = [AWAY]
    report = world.look()
    assert (report.outcome, report.waiting) == (Outcome.DEGRADED, 1)
    assert world.channel.replies == []
    world.look()
    assert "asked for" in world.channel.answer_to(number)
    assert len(world.hands.jobs.asked) == 1


def test_what_stays_unknown_is_said_after_five_minutes(world: World) -> None:
    number = world.channel.say(1, "!run health_check")
    for minutes in (0, 3, 6):
        world.hands.jobs.broken = [AWAY]
        world.look(NOON + timedelta(minutes=minutes, seconds=30))
    assert "It is not known whether this was carried out" in world.channel.answer_to(number)
    assert world.store.row(number).state is CommandState.UNCLEAR


def test_a_command_that_kills_every_run_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number = world.channel.say(1, "!run health_check")

    def deadly(*_: object) -> object:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(world.hands.jobs, "run", deadly)
        for _ in range(5):
            with pytest.raises(Died):
                world.look()
        world.look()
    assert "It is not known" in world.channel.answer_to(number)


def test_a_command_that_breaks_does_not_keep_the_next_from_being_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("secret text")

    monkeypatch.setattr(world.hands.jobs, "run", broken)
    bad, good = world.channel.say(1, "!run health_check"), world.channel.say(2, "!help")
    report = world.look()
    assert "unforeseen" in world.channel.answer_to(bad)
    assert "secret" not in world.channel.answer_to(bad) + report.summary
    assert "!task" in world.channel.answer_to(good)
    assert report.outcome is Outcome.DEGRADED


def test_an_answer_that_cannot_be_shown_leaves_a_mark_and_the_others_alone(world: World) -> None:
    bad, good = world.channel.say(1, "!task one"), world.channel.say(2, "!help")
    world.channel.failures["reply"] = [PermanentFailure("discord: 400.")]
    report = world.look()
    world.look()
    assert world.channel.reactions == [(bad, "⚠️")]
    assert world.channel.answer_to(good)
    assert "cannot be shown" in report.summary


def test_an_answer_that_cannot_be_shown_nor_marked_is_over_all_the_same(world: World) -> None:
    bad, good = world.channel.say(1, "!task one"), world.channel.say(2, "!help")
    world.channel.failures["reply"] = [PermanentFailure("discord: 400.")]
    world.channel.failures["react"] = [Misconfigured("DISCORD_TASKS_CHANNEL", "403.")]
    world.look()
    assert world.store.closed[world.store.row(bad).id] == "discord: 400."
    assert world.channel.answer_to(good)


def test_a_stranger_on_whom_no_reaction_can_be_put_is_done_with(world: World) -> None:
    number = world.channel.say(1, "!run health_check", EVE)
    world.channel.failures["react"] = [PermanentFailure("discord: 400.")]
    world.look()
    assert world.store.row(number).state is CommandState.REFUSED
    assert world.store.count_open(world.channel.channel_id) == 0


def test_a_missing_right_to_react_is_said_and_holds_up_nobody_who_may(world: World) -> None:
    world.channel.say(1, "!run health_check", EVE)
    mine = world.channel.say(2, "!help")
    world.channel.failures["react"] = [Misconfigured("DISCORD_TASKS_CHANNEL", "403.")]
    with pytest.raises(Misconfigured):
        world.look()
    assert world.channel.answer_to(mine)


def test_a_missing_right_to_answer_ends_the_run_and_loses_no_answer(world: World) -> None:
    number = world.channel.say(1, "!task one")
    world.channel.failures["reply"] = [Misconfigured("DISCORD_TASKS_CHANNEL", "403.")]
    with pytest.raises(Misconfigured):
        world.look()
    world.look()
    assert world.channel.answer_to(number) == "Task 1 is on the list."


def test_a_long_wait_that_is_asked_for_is_kept_by_the_next_runs(world: World) -> None:
    world.channel.failures["after"] = [DependencyUnavailable("discord", "429.", retry_after_seconds=90)]
    assert world.look().outcome is Outcome.DEGRADED
    world.channel.calls.clear()
    report = world.look(NOON + timedelta(seconds=90))
    assert world.channel.calls == []
    assert "2026-01-25T12:02:00Z" in report.summary
    world.look(NOON + timedelta(seconds=121))
    assert world.channel.calls


def test_no_command_is_begun_when_the_time_is_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 4):
        world.channel.say(number, "!help")
    reply = world.channel.reply

    def slow(to: int, part: str, nonce: str) -> None:
        world.seconds += 20
        reply(to, part, nonce)

    monkeypatch.setattr(world.channel, "reply", slow)
    report = world.look()
    assert (report.answered, report.waiting) == (2, 1)
    assert world.look().answered == 1


# --- reading ---


def test_an_idle_look_is_one_request(world: World) -> None:
    report = world.look()
    assert world.channel.calls == ["after"]
    assert (report.outcome, report.summary) == (Outcome.NO_INPUT, "No new command.")


def test_hundreds_of_messages_are_read_in_order(world: World) -> None:
    for number in range(250):
        world.channel.say(number + 1, f"!task {number}" if number % 50 == 0 else "talk")
    world.look(NOON + timedelta(minutes=5))
    assert [task.title for task in world.hands.tasks.rows.values()] == ["0", "50", "100", "150", "200"]


def test_a_channel_of_which_nothing_can_be_read_is_said() -> None:
    world = World(begun=False)
    world.channel.readable = False
    world.channel.say(0, "hello")
    report = world.look()
    assert (report.outcome, report.started) == (Outcome.DEGRADED, True)
    assert "Read Message History" in report.summary
    assert "Read Message History" in world.look().summary


def test_withheld_texts_are_said_once_until_they_are_back(world: World) -> None:
    world.channel.withheld = True
    world.channel.say(1, "", hollow=True)
    reports = [world.look(), world.look()]
    assert all("Message Content Intent" in report.summary for report in reports)
    assert all(report.outcome is Outcome.DEGRADED for report in reports)
    world.channel.withheld = False
    assert world.look().outcome is Outcome.NO_INPUT
    assert [sent.title for sent in world.notifier.sent] == [
        "Commands cannot be read",
        "Commands can be read again",
    ]
    assert {sent.problem for sent in world.notifier.sent} == {"commands:textless"}
    world.channel.calls.clear()
    world.look()
    assert world.channel.calls == ["after"]


def test_withheld_texts_are_noticed_at_the_first_start_already() -> None:
    world = World(begun=False)
    world.channel.withheld = True
    assert "Message Content Intent" in world.look().summary
    assert len(world.notifier.sent) == 1


def test_a_hollow_message_while_texts_are_given_is_no_alarm(world: World) -> None:
    world.channel.say(1, "", hollow=True)
    assert world.look().outcome is Outcome.NO_INPUT
    assert world.notifier.sent == []
