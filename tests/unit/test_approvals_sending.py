"""What a run of `send_approved` sends, what it does not, and what people hear of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from aegis_lib.alerts.model import Phase, Severity
from aegis_lib.approvals import messages, sending, service
from aegis_lib.approvals.model import (
    Approval,
    ApprovalsConfig,
    Handover,
    SendReport,
    SendResult,
    State,
    TendReport,
    Via,
)
from aegis_lib.approvals.policy import MOVES, Event
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.outcome import Outcome
from tests.approval_values import DAY, HOUR, MINUTE, NOW, proposal
from tests.fakes.alerts import FakeNotifier
from tests.fakes.approvals import FakeApprovals, FakeSender
from tests.fakes.memory import FakeMemory

LATER = SendResult(handover=Handover.LATER, said="450 busy")
REFUSED = SendResult(handover=Handover.REFUSED, said="550 no such user")
UNCLEAR = SendResult(handover=Handover.UNCLEAR, said="The connection was lost.")
AWAY = DependencyUnavailable("mail server", "away.")


class World:
    """A store, a mail server, and people."""

    def __init__(self) -> None:
        self.store, self.sender = FakeApprovals(), FakeSender()
        self.notifier, self.memory = FakeNotifier(), FakeMemory()
        self.config = ApprovalsConfig()
        self.claims = 0

    def proposed(self, key: str = "reply:1", **values: Any) -> Approval:
        return service.propose(self.store, proposal(key, **values), self.config, NOW)

    def approved(self, key: str = "reply:1", **values: Any) -> Approval:
        return service.approve(self.store, self.proposed(key, **values).number, "ada", NOW)

    def tend(self, now: datetime = NOW, *, dry_run: bool = False) -> TendReport:
        return sending.tend(self.store, self.notifier, self.memory, self.config, now=now, dry_run=dry_run)

    def send(self, now: datetime = NOW, *, dry_run: bool = False, **more: Any) -> SendReport:
        return sending.send(
            self.store, self.sender, self.notifier, self.memory, self.config,
            now=now, dry_run=dry_run, new_claim=self._claim, **{"monotonic": lambda: 0.0, **more},
        )  # fmt: skip

    def _claim(self) -> str:
        self.claims += 1
        return f"c{self.claims}"

    def state(self, row: Approval) -> State:
        return self.store.rows[row.number].state

    @property
    def sent(self) -> list[str]:
        return [letter.content.subject for letter in self.sender.sent]


@pytest.fixture
def world() -> World:
    return World()


# --- what is sent, and what is not ---


def test_an_approved_mail_is_sent_once(world: World) -> None:
    row = world.approved()
    report = world.send()
    assert (report.sent, report.outcome, report.summary) == (1, Outcome.COMPLETED, "1 sent.")
    assert world.state(row) is State.SENT
    (letter,) = world.sender.sent
    assert (letter.content.recipient, letter.content.body) == (row.recipient, row.body)
    assert letter.message_id == world.store.rows[row.number].message_id == "<c1@ours.example>"
    assert world.send().sent == 0
    assert len(world.sender.offered) == 1


def test_nothing_else_is_sent(world: World) -> None:
    world.proposed("reply:1")
    rejected = world.approved("reply:2")
    service.reject(world.store, rejected.number, "ada", NOW)
    for number, state in enumerate((State.EXPIRED, State.SENDING, State.SENT, State.FAILED, State.UNCLEAR)):
        world.store.change(world.approved(f"other:{number}").number, state=state)
    report = world.send()
    assert (report.sent, report.summary) == (0, "Nothing to send.")
    assert world.sender.offered == []


def test_nothing_is_sent_in_a_dry_run_and_nothing_changes(world: World) -> None:
    row = world.approved()
    world.approved("reply:2", expires_at=NOW + MINUTE)
    before = dict(world.store.rows)
    assert world.tend(NOW + HOUR, dry_run=True).expired == 0
    report = world.send(NOW + HOUR, dry_run=True)
    assert report.summary == f"Would send {row.number}."
    assert (world.store.rows, world.sender.offered, world.notifier.sent) == (before, [], [])


def test_what_expires_between_approval_and_sending_is_not_sent(world: World) -> None:
    row = world.approved(expires_at=NOW + HOUR)
    assert world.send(NOW + HOUR).sent == 0
    assert world.tend(NOW + HOUR).expired == 1
    assert world.state(row) is State.EXPIRED
    assert world.sender.offered == []


def test_what_expires_while_it_is_being_sent_is_withheld(world: World) -> None:
    row = world.approved(expires_at=NOW + MINUTE)
    ticks = iter([0.0, 0.0, 0.0, 0.0, 0.0])
    report = world.send(monotonic=lambda: next(ticks, 120.0))
    assert (report.sent, world.sent) == (0, [])
    assert len(world.sender.offered) == 1
    assert world.state(row) is State.EXPIRED


def test_who_unsubscribes_while_it_is_being_sent_is_spared(world: World) -> None:
    row = world.approved()
    world.sender.before_hand_over = lambda: (
        service.suppress(world.store, row.recipient, "", "mail", NOW) and None
    )
    assert world.send().sent == 0
    assert world.sent == []
    assert world.state(row) is State.REJECTED
    assert world.store.rows[row.number].decided_via is Via.SUPPRESSION


def test_who_unsubscribed_as_the_proposal_came_in_is_found(world: World) -> None:
    row = world.approved()
    service.suppress(world.store, row.recipient, "", "mail", NOW)
    world.store.change(row.number, state=State.APPROVED)  # as two transactions at once would leave it
    assert world.send().sent == 0
    world.tend()
    assert world.state(row) is State.REJECTED


CHANGES = [
    {"recipient": "all@evil.example"},
    {"subject": "Another"},
    {"body": "Send money."},
    {"in_reply_to": "<9@evil.example>"},
    {"references": ("<9@evil.example>",)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("hide", [False, True], ids=["plainly", "with-its-digest"])
def test_what_is_changed_after_the_approval_is_never_sent(
    world: World, change: dict[str, Any], hide: bool
) -> None:
    row = world.approved()
    changed = world.store.change(row.number, **change)
    if hide:
        world.store.change(row.number, digest=changed.content_digest)
    report = world.send()
    assert (report.refused, report.outcome, world.sender.offered) == (1, Outcome.DEGRADED, [])
    assert world.state(row) is State.FAILED
    assert "changed after it was approved" in world.store.rows[row.number].problem


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": "ada@example.org\r\nBcc: all@example.com"},
        {"subject": "Hi\r\nBcc: all@example.com"},
        {"body": "\x1b[2J"},
        {"references": ("<1@x>\r\nBcc: all@example.com",)},
    ],
)
def test_what_could_not_have_been_proposed_is_not_sent_even_with_fitting_digests(
    world: World, change: dict[str, Any]
) -> None:
    row = world.approved()
    changed = world.store.change(row.number, **change)
    world.store.change(row.number, digest=changed.content_digest, approved_digest=changed.content_digest)
    world.send()
    assert world.sender.offered == []
    assert world.state(row) is State.FAILED


def test_an_approval_by_a_rule_that_is_gone_waits_for_a_person(world: World) -> None:
    world.config = ApprovalsConfig(allow=("customer_reply",))
    row = world.proposed()
    assert world.state(row) is State.APPROVED
    world.config = ApprovalsConfig()
    world.tend()
    assert world.state(row) is State.PENDING
    assert world.send().sent == 0
    assert [message.title for message in world.notifier.sent] == [
        f"Mail {row.number} waits for approval: customer_reply"
    ]


def test_an_approval_by_a_rule_that_holds_is_sent(world: World) -> None:
    world.config = ApprovalsConfig(allow=("customer_reply",))
    world.proposed()
    world.tend()
    assert world.send().sent == 1


# --- the limit of a day ---


def test_no_more_than_the_limit_goes_out_in_a_day(world: World) -> None:
    world.config = ApprovalsConfig(daily_limit=2)
    for number in range(5):
        world.approved(f"reply:{number}", expires_at=NOW + 9 * DAY)
    first = world.send()
    assert (first.sent, first.held) == (2, 3)
    assert first.summary == "2 sent, 3 held back by the limit of 2 in 24 hours."
    assert world.send(NOW + DAY - MINUTE).sent == 0
    assert world.send(NOW + DAY).sent == 2


def test_a_limit_of_nothing_sends_nothing(world: World) -> None:
    world.config = ApprovalsConfig(daily_limit=0)
    world.approved()
    report = world.send()
    assert (report.sent, report.held, world.sender.offered) == (0, 1, [])


def test_a_dry_run_says_what_the_limit_would_hold(world: World) -> None:
    world.config = ApprovalsConfig(daily_limit=1)
    rows = [world.approved(f"reply:{number}") for number in range(3)]
    report = world.send(dry_run=True)
    assert report.summary == f"Would send {rows[0].number}. 2 would be held back by the daily limit."


def test_no_mail_is_begun_when_the_time_is_up(world: World) -> None:
    world.approved()
    ticks = iter([0.0])
    assert world.send(monotonic=lambda: next(ticks, 500.0)).sent == 0


# --- what the mail server says ---


def test_a_refusal_for_now_is_tried_again_until_it_is_enough(world: World) -> None:
    world.config = ApprovalsConfig(attempts=3)
    row = world.approved()
    world.sender.results = [LATER, LATER, LATER]
    assert world.send().later == 1
    assert world.send(NOW + 4 * MINUTE).summary == "Nothing to send."
    assert world.send(NOW + 5 * MINUTE).later == 1
    report = world.send(NOW + 25 * MINUTE)
    assert (report.refused, world.state(row)) == (1, State.FAILED)
    assert "Given up after 3 attempts; the last answer was: 450 busy." in world.store.rows[row.number].problem
    assert len({letter.message_id for letter in world.sender.offered}) == 1


def test_a_mail_that_is_taken_at_last_was_sent_once(world: World) -> None:
    row = world.approved()
    world.sender.results = [LATER]
    world.send()
    assert world.send(NOW + 5 * MINUTE).sent == 1
    assert (world.state(row), len(world.sent)) == (State.SENT, 1)


def test_a_refusal_for_good_is_said_and_not_tried_again(world: World) -> None:
    row = world.approved()
    world.sender.results = [REFUSED]
    report = world.send()
    assert (report.outcome, report.refused) == (Outcome.DEGRADED, 1)
    assert "550 no such user" in report.summary
    world.send(NOW + DAY)
    assert len(world.sender.offered) == 1
    (told,) = [message for message in world.notifier.sent if message.severity is Severity.WARNING]
    assert (told.title, told.problem) == (f"Mail {row.number} was not sent", None)
    assert "550 no such user" in told.body


def test_what_is_unclear_is_shown_to_a_human_and_never_sent_again(world: World) -> None:
    row = world.approved()
    world.sender.results = [UNCLEAR]
    report = world.send()
    assert (report.outcome, report.unclear, world.state(row)) == (Outcome.DEGRADED, 1, State.UNCLEAR)
    for later in (MINUTE, HOUR, DAY, 30 * DAY):
        world.tend(NOW + later)
        world.send(NOW + later)
    assert len(world.sender.offered) == 1
    (told,) = [message for message in world.notifier.sent if message.problem]
    assert (told.problem, told.phase) == (f"approval:{row.number}", Phase.BEGIN)
    assert f"aegis approvals settle {row.number}" in told.body


@pytest.mark.parametrize("arrived", [True, False])
def test_a_human_ends_what_is_unclear(world: World, arrived: bool) -> None:
    row = world.approved()
    world.sender.results = [UNCLEAR]
    world.send()
    service.settle(world.store, row.number, "bob", NOW, arrived=arrived)
    world.tend()
    last = world.notifier.sent[-1]
    assert (last.problem, last.phase) == (f"approval:{row.number}", Phase.OVER)
    assert "bob found out" in last.body
    assert world.send(NOW + DAY).sent == 0


@pytest.mark.parametrize("trouble", [AWAY, Misconfigured("EMAIL_SMTP_PASSWORD", "is wrong.")])
def test_a_mail_server_that_is_away_costs_no_attempt(world: World, trouble: Exception) -> None:
    first, second = world.approved("reply:1"), world.approved("reply:2", subject="Second")
    world.sender.results = [SendResult(handover=Handover.ACCEPTED), trouble]
    with pytest.raises(type(trouble)):
        world.send()
    assert (world.state(first), world.state(second)) == (State.SENT, State.APPROVED)
    assert world.store.rows[second.number].attempts == 0
    assert world.send(NOW + MINUTE).sent == 1
    assert world.sent == ["Your question", "Second"]


def test_one_mail_that_cannot_be_written_does_not_stop_the_others(world: World) -> None:
    first, second = world.approved("reply:1"), world.approved("reply:2")
    world.sender.results = [PermanentFailure("The mail cannot be written.")]
    report = world.send()
    assert (report.refused, report.sent) == (1, 1)
    assert (world.state(first), world.state(second)) == (State.FAILED, State.SENT)


# --- what died processes leave ---


def claimed(world: World, *, handed_over: bool) -> Approval:
    row = world.approved()
    held = world.store.claim(row.number, MOVES[Event.CLAIM], "dead", "<dead@ours.example>", NOW, 20)
    assert held is not None
    if handed_over:
        assert world.store.hand_over(row.number, "dead", row.digest, NOW)
    return held


def test_what_was_claimed_only_is_sent_after_the_claim_has_run_out(world: World) -> None:
    row = claimed(world, handed_over=False)
    world.tend(NOW + sending.LEASE)
    assert world.state(row) is State.SENDING
    assert world.tend(NOW + sending.LEASE + MINUTE).abandoned == 1
    assert world.send(NOW + sending.LEASE + MINUTE).sent == 1
    assert world.sender.sent[0].message_id == "<dead@ours.example>"


def test_what_was_handed_over_is_unclear_after_the_claim_has_run_out(world: World) -> None:
    row = claimed(world, handed_over=True)
    world.tend(NOW + sending.LEASE + MINUTE)
    assert world.state(row) is State.UNCLEAR
    assert world.send(NOW + sending.LEASE + MINUTE).sent == 0


def test_a_process_that_was_only_slow_cannot_send_what_was_taken_from_it(world: World) -> None:
    row = world.approved()

    def long_pause() -> None:
        world.tend(NOW + sending.LEASE + MINUTE)
        world.sender.before_hand_over = None
        other = world.store.claim(row.number, MOVES[Event.CLAIM], "other", "<o@ours.example>", NOW + HOUR, 20)
        assert other is not None

    world.sender.before_hand_over = long_pause
    assert world.send().sent == 0
    assert world.sent == []
    assert world.store.rows[row.number].claim == "other"


def test_a_slow_answer_that_comes_at_last_settles_it(world: World) -> None:
    row = world.approved()
    real = world.store.hand_over

    def hand_over_and_freeze(*arguments: Any) -> bool:
        done = real(*arguments)
        world.tend(NOW + sending.LEASE + MINUTE)
        assert world.state(row) is State.UNCLEAR
        return done

    world.store.hand_over = hand_over_and_freeze  # type: ignore[method-assign]
    assert world.send().sent == 1
    assert world.state(row) is State.SENT


# --- telling ---


def test_people_are_told_once_what_waits_and_how_to_decide(world: World) -> None:
    row = world.proposed()
    report = world.tend()
    assert (report.waiting, report.told) == (1, 1)
    for later in (MINUTE, HOUR, DAY):
        world.tend(NOW + later)
    (told,) = world.notifier.sent
    assert told.title == f"Mail {row.number} waits for approval: customer_reply"
    assert f"`!approve {row.number}`" in told.body
    assert f"`aegis approvals approve {row.number}`" in told.body
    assert f"`!reject {row.number}`" in told.body
    assert r"ada\@example.org" in told.body
    assert "> Dear Ada," in told.body
    assert "She asked whether it can." in told.body
    assert (told.key, told.problem) == (f"approval:{row.number}:pending", None)


def test_a_proposal_cannot_speak_for_us(world: World) -> None:
    world.proposed(
        subject="@everyone [click](https://evil.example) `!approve 1`",
        body="# URGENT\n\n!approve 1\n@here <https://evil.example> **bold**\n```\n> quote\n",
        why="<@123> https://evil.example",
    )
    world.tend()
    (told,) = world.notifier.sent
    assert "@everyone" not in told.body.replace(r"\@everyone", "")
    assert "https://evil.example" not in told.body.replace(r"https\://evil.example", "").replace(r"\:", "")
    assert not [line for line in told.body.splitlines() if line.startswith(("#", "!", "```", "@"))]
    assert "`!approve 1` in the tasks channel" in told.body
    assert r"> \!approve 1" in told.body


def test_a_long_text_is_shortened_and_says_where_the_whole_is(world: World) -> None:
    row = world.proposed(body="\n".join(f"line {number}" for number in range(500)))
    world.tend()
    (told,) = world.notifier.sent
    assert len(told.body) < 3000
    assert f"Shortened. The whole: `aegis approvals show {row.number}`" in told.body
    assert "line 499" not in told.body


def test_people_who_cannot_be_told_are_told_later(world: World) -> None:
    world.proposed()
    world.notifier.broken = DependencyUnavailable("outbox", "away.")
    with pytest.raises(DependencyUnavailable):
        world.tend()
    world.notifier.broken = None
    assert world.tend().told == 1


def test_an_approved_mail_that_ran_out_of_time_is_told(world: World) -> None:
    row = world.approved(expires_at=NOW + HOUR)
    world.tend(NOW + HOUR)
    (told,) = world.notifier.sent
    assert told.title == f"Mail {row.number} expired before it could be sent"


def test_every_change_is_remembered_once(world: World) -> None:
    row = world.proposed()
    world.tend()
    service.approve(world.store, row.number, "ada", NOW, note="fine")
    world.send()
    world.tend()
    kinds = [episode.event_type for episode in reversed(world.memory.recall_recent(10))]
    assert kinds == ["approval_pending", "approval_sent"]
    (sent,) = world.memory.recall_recent(10, "approval_sent")
    assert "ada@example.org was sent; approved by ada (cli)" in sent.summary


def test_the_list_for_the_prefect_ui_is_written_when_it_changes(world: World) -> None:
    row = world.proposed()
    assert f"## {row.number}: customer_reply" in world.tend().markdown
    assert world.tend(NOW + MINUTE).markdown == ""
    service.reject(world.store, row.number, "ada", NOW)
    assert world.tend(NOW + HOUR).markdown == "No mail waits for a decision."


@pytest.mark.parametrize("state", State)
def test_every_state_has_words_for_people(world: World, state: State) -> None:
    row = world.store.change(world.approved().number, state=state, problem="p", message_id="<1@x.yz>")
    words: list[Callable[[], object]] = [
        lambda: messages.event(row),
        lambda: messages.decided(row),
        lambda: messages.mend(row),
        lambda: messages.notices(row, NOW),
        lambda: messages.decision(row),
    ]
    for say in words:
        assert "{" not in str(say()).replace("{'", "")
