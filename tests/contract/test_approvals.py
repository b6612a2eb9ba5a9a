"""The store of proposals: the fake and PostgreSQL answer the same questions alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from aegis_lib.approvals import policy
from aegis_lib.approvals.model import Approval, Decision, Proposal, State, Suppression, Via
from aegis_lib.approvals.policy import MOVES, Event
from aegis_lib.db import database as db
from aegis_lib.ports.approvals import ApprovalStore
from tests.approval_values import DAY, HOUR, MINUTE, NOW, proposal
from tests.fakes.approvals import FakeApprovals


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[ApprovalStore]:
    if request.param == "fake":
        yield FakeApprovals()
        return
    opened: db.Database = request.getfixturevalue("database")
    yield opened.approvals


def decision(made: Proposal, at: datetime = NOW, by: str = "ada", via: Via = Via.CLI) -> Decision:
    return Decision(by=by, via=via, at=at, digest=made.digest)


def approved(store: ApprovalStore, made: Proposal | None = None) -> Approval:
    made = made or proposal()
    number = store.add(made, None, NOW).number
    found = store.decide(number, MOVES[Event.APPROVE], decision(made))
    assert found is not None
    return found


def claimed(store: ApprovalStore, made: Proposal | None = None, claim: str = "c1") -> Approval:
    number = approved(store, made).number
    found = store.claim(number, MOVES[Event.CLAIM], claim, f"<{claim}@ours.example>", NOW, 20)
    assert found is not None
    return found


def test_a_proposal_is_kept_as_it_was_made(store: ApprovalStore) -> None:
    made = proposal(in_reply_to="<2@x.yz>", references=("<1@x.yz>", "<2@x.yz>"))
    added = store.add(made, None, NOW)
    assert store.get(added.number) == added
    kept = added.model_dump(include=set(Proposal.model_fields))
    assert Proposal.model_validate(kept) == made
    assert (added.state, added.digest, added.content_digest) == (State.PENDING, made.digest, made.digest)
    assert (added.decided_by, added.approved_digest, added.claim, added.message_id) == (None,) * 4
    assert store.get(added.number + 1) is None


def test_the_same_key_again_is_the_same_proposal(store: ApprovalStore) -> None:
    first = store.add(proposal(), None, NOW)
    assert store.add(proposal(subject="Another"), None, NOW + HOUR) == first
    assert store.add(proposal(key="reply:2"), None, NOW).number != first.number


def test_a_rule_approves_at_once(store: ApprovalStore) -> None:
    made = proposal()
    added = store.add(made, decision(made, by="approvals.allow: customer_reply", via=Via.RULE), NOW)
    assert (added.state, added.decided_via, added.decided_at) == (State.APPROVED, Via.RULE, NOW)
    assert added.approved_digest == made.digest


def test_the_newest_are_listed_first(store: ApprovalStore) -> None:
    numbers = [store.add(proposal(f"reply:{number}"), None, NOW).number for number in range(3)]
    assert [row.number for row in store.listed((State.PENDING,), 2)] == numbers[:0:-1]
    assert store.listed((State.SENT, State.FAILED), 10) == []


# --- decisions ---


def test_who_is_first_decides(store: ApprovalStore) -> None:
    made = proposal()
    number = store.add(made, None, NOW).number
    first = store.decide(number, MOVES[Event.APPROVE], decision(made, by="ada"))
    assert first is not None
    assert (first.decided_by, first.decided_via, first.decided_at) == ("ada", Via.CLI, NOW)
    assert store.decide(number, MOVES[Event.APPROVE], decision(made, by="bob")) is None
    assert store.get(number) == first


def test_an_approval_can_be_taken_back_until_the_sending_has_begun(store: ApprovalStore) -> None:
    made = proposal()
    number = approved(store, made).number
    rejected = store.decide(number, MOVES[Event.REJECT], decision(made, by="bob"))
    assert rejected is not None
    assert (rejected.state, rejected.decided_by, rejected.approved_digest) == (State.REJECTED, "bob", None)
    other = proposal("reply:2")
    sending = claimed(store, other)
    assert store.decide(sending.number, MOVES[Event.REJECT], decision(other)) is None


@pytest.mark.parametrize("event", [Event.APPROVE, Event.REJECT])
def test_no_decision_at_the_moment_of_expiry(store: ApprovalStore, event: Event) -> None:
    made = proposal(expires_at=NOW + HOUR)
    number = store.add(made, None, NOW).number
    assert store.decide(number, MOVES[event], decision(made, at=NOW + HOUR)) is None
    assert store.decide(number, MOVES[event], decision(made, at=NOW + HOUR - MINUTE)) is not None


def test_other_content_than_the_proposed_one_is_not_approved_but_may_be_rejected(
    store: ApprovalStore,
) -> None:
    number = store.add(proposal(), None, NOW).number
    other = decision(proposal(body="Send money."))
    assert store.decide(number, MOVES[Event.APPROVE], other) is None
    assert store.decide(number, MOVES[Event.REJECT], other) is not None


def test_what_is_over_expires_whether_it_was_approved_or_not(store: ApprovalStore) -> None:
    soon = {"expires_at": NOW + HOUR}
    waiting = store.add(proposal("reply:1", **soon), None, NOW).number
    ready = approved(store, proposal("reply:2", **soon)).number
    later = approved(store, proposal("reply:3")).number
    sending = claimed(store, proposal("reply:4", **soon)).number
    assert store.expire(MOVES[Event.EXPIRE], NOW + HOUR - MINUTE) == []
    ended = store.expire(MOVES[Event.EXPIRE], NOW + HOUR)
    assert {row.number for row in ended} == {waiting, ready}
    assert {row.state for row in ended} == {State.EXPIRED}
    assert [store.get(number).state for number in (later, sending)] == [State.APPROVED, State.SENDING]  # type: ignore[union-attr]


def test_only_an_approval_by_a_rule_is_withdrawn(store: ApprovalStore) -> None:
    made = proposal()
    ruled = store.add(made, decision(made, by="rule", via=Via.RULE), NOW).number
    store.told(ruled, State.APPROVED)
    by_ada = approved(store, proposal("reply:2")).number
    found = store.withdraw(ruled, MOVES[Event.WITHDRAW])
    assert found is not None
    assert (found.state, found.decided_by, found.decided_via, found.approved_digest, found.told_state) == (
        State.PENDING, None, None, None, None,
    )  # fmt: skip
    assert store.withdraw(by_ada, MOVES[Event.WITHDRAW]) is None


# --- who has unsubscribed ---


def entry(address: str = "ada@example.org", at: datetime = NOW) -> Suppression:
    return Suppression(address=address, reason="asked", added_by="mail", added_at=at)


def test_who_has_unsubscribed_is_on_the_list_once(store: ApprovalStore) -> None:
    assert store.suppress(entry(), MOVES[Event.REJECT]) is True
    assert store.suppress(entry(at=NOW + DAY), MOVES[Event.REJECT]) is False
    store.suppress(entry("bob@example.org", NOW + HOUR), MOVES[Event.REJECT])
    assert store.suppressions(10) == [entry("bob@example.org", NOW + HOUR), entry()]
    assert store.suppressions(1) == [entry("bob@example.org", NOW + HOUR)]


@pytest.mark.parametrize("recipient", ["ada@example.org", "Ada@Example.org", "ada+shop@example.org"])
def test_unsubscribing_rejects_what_waits_and_what_is_approved(store: ApprovalStore, recipient: str) -> None:
    waiting = store.add(proposal("reply:1", recipient=recipient), None, NOW).number
    ready = approved(store, proposal("reply:2", recipient=recipient)).number
    other = approved(store, proposal("reply:3", recipient="bob@example.org")).number
    store.suppress(entry(), MOVES[Event.REJECT])
    for number in (waiting, ready):
        row = store.get(number)
        assert row is not None
        assert (row.state, row.decided_via, row.approved_digest) == (State.REJECTED, Via.SUPPRESSION, None)
    assert store.get(other).state is State.APPROVED  # type: ignore[union-attr]


def test_what_is_proposed_afterwards_is_rejected_at_once_also_by_a_rule(store: ApprovalStore) -> None:
    store.suppress(entry(), MOVES[Event.REJECT])
    made = proposal(recipient="ADA+x@example.org")
    added = store.add(made, decision(made, via=Via.RULE), NOW)
    assert (added.state, added.decided_via, added.approved_digest) == (State.REJECTED, Via.SUPPRESSION, None)


def test_who_unsubscribes_while_it_is_being_sent_is_spared(store: ApprovalStore) -> None:
    row = claimed(store)
    store.suppress(entry(), MOVES[Event.REJECT])
    assert not store.hand_over(row.number, "c1", row.digest, NOW)


# --- claims ---


def test_a_mail_is_claimed_once(store: ApprovalStore) -> None:
    row = claimed(store)
    assert (row.state, row.claim, row.claimed_at, row.attempts) == (State.SENDING, "c1", NOW, 1)
    assert row.message_id == "<c1@ours.example>"
    assert store.claim(row.number, MOVES[Event.CLAIM], "c2", "<c2@ours.example>", NOW, 20) is None


def test_nothing_undecided_is_claimed(store: ApprovalStore) -> None:
    number = store.add(proposal(), None, NOW).number
    assert store.claim(number, MOVES[Event.CLAIM], "c1", "<c1@ours.example>", NOW, 20) is None
    assert store.sendable(NOW, 10) == []


def test_nothing_is_claimed_or_handed_over_at_the_moment_of_expiry(store: ApprovalStore) -> None:
    end = NOW + HOUR
    number = approved(store, proposal(expires_at=end)).number
    assert store.sendable(end, 10) == []
    assert store.claim(number, MOVES[Event.CLAIM], "c1", "<c1@ours.example>", end, 20) is None
    row = store.claim(number, MOVES[Event.CLAIM], "c1", "<c1@ours.example>", end - MINUTE, 20)
    assert row is not None
    assert not store.hand_over(number, "c1", row.digest, end)


def test_a_mail_is_handed_over_once_and_by_who_claimed_it(store: ApprovalStore) -> None:
    row = claimed(store)
    assert not store.hand_over(row.number, "c2", row.digest, NOW)
    assert not store.hand_over(row.number, "c1", proposal(body="Other").digest, NOW)
    assert store.hand_over(row.number, "c1", row.digest, NOW)
    assert not store.hand_over(row.number, "c1", row.digest, NOW)


def test_the_limit_counts_what_was_sent_or_may_have_been_in_a_day(store: ApprovalStore) -> None:
    events = [Event.ACCEPTED, Event.LOST, Event.REFUSED, Event.RELEASE]
    for number, event in enumerate(events):
        row = claimed(store, proposal(f"reply:{number}"), f"c{number}")
        store.settle(row.number, MOVES[event], NOW, claim=f"c{number}")
    assert store.sends_since(NOW - DAY) == 2
    claim = MOVES[Event.CLAIM]
    number = approved(store, proposal("reply:9")).number
    assert store.claim(number, claim, "c9", "<c9@ours.example>", NOW, 2) is None
    assert store.claim(number, claim, "c9", "<c9@ours.example>", NOW, 0) is None
    assert store.claim(number, claim, "c9", "<c9@ours.example>", NOW + DAY, 1) is not None


def test_an_attempt_that_failed_for_now_waits_and_keeps_its_message_id(store: ApprovalStore) -> None:
    row = claimed(store)
    store.hand_over(row.number, "c1", row.digest, NOW)
    due = NOW + 5 * MINUTE
    back = store.settle(
        row.number, MOVES[Event.RELEASE], NOW, claim="c1", problem="450 busy", next_attempt_at=due
    )
    assert back is not None
    assert (back.state, back.claim, back.handed_over_at, back.attempts) == (State.APPROVED, None, None, 1)
    assert (back.next_attempt_at, back.problem, back.ended_at) == (due, "450 busy", None)
    assert store.sendable(due - MINUTE, 10) == []
    again = store.claim(row.number, MOVES[Event.CLAIM], "c2", "<c2@ours.example>", due, 20)
    assert again is not None
    assert (again.message_id, again.attempts) == ("<c1@ours.example>", 2)
    assert store.hand_over(row.number, "c2", row.digest, due)


def test_an_attempt_that_was_none_does_not_count(store: ApprovalStore) -> None:
    row = claimed(store)
    back = store.settle(row.number, MOVES[Event.RELEASE], NOW, claim="c1", uncounted=True)
    assert back is not None
    assert (back.attempts, back.next_attempt_at) == (0, None)
    assert [found.number for found in store.sendable(NOW, 10)] == [row.number]


def test_only_who_claimed_it_says_how_it_ended(store: ApprovalStore) -> None:
    row = claimed(store)
    assert store.settle(row.number, MOVES[Event.ACCEPTED], NOW, claim="c2") is None
    done = store.settle(row.number, MOVES[Event.ACCEPTED], NOW + MINUTE, claim="c1", reply="250 queued")
    assert done is not None
    assert (done.state, done.reply, done.ended_at, done.claim) == (
        State.SENT,
        "250 queued",
        NOW + MINUTE,
        "c1",
    )
    assert store.settle(row.number, MOVES[Event.REFUSED], NOW, claim="c1") is None


def test_a_claim_of_a_died_process_is_found_by_its_age(store: ApprovalStore) -> None:
    row = claimed(store)
    assert store.abandoned(NOW) == []
    assert store.abandoned(NOW + MINUTE) == [row]


def test_the_oldest_decision_is_sent_first(store: ApprovalStore) -> None:
    late, early = proposal("reply:1"), proposal("reply:2")
    numbers = [store.add(made, None, NOW).number for made in (late, early)]
    store.decide(numbers[0], MOVES[Event.APPROVE], decision(late, NOW + HOUR))
    store.decide(numbers[1], MOVES[Event.APPROVE], decision(early, NOW + MINUTE))
    assert [row.number for row in store.sendable(NOW + DAY, 10)] == numbers[::-1]
    assert [row.number for row in store.sendable(NOW + DAY, 1)] == numbers[1:]


# --- the state machine in the store ---


def brought_to(store: ApprovalStore, state: State) -> Approval:
    made = proposal()
    if state in {State.PENDING, State.REJECTED, State.EXPIRED}:
        number = store.add(made, None, NOW).number
        if state is State.REJECTED:
            store.decide(number, MOVES[Event.REJECT], decision(made))
        if state is State.EXPIRED:
            store.expire(MOVES[Event.EXPIRE], made.expires_at)
    elif state is State.APPROVED:
        number = store.add(made, decision(made, via=Via.RULE), NOW).number
    else:
        number = claimed(store, made).number
        ends = {State.SENT: Event.ACCEPTED, State.FAILED: Event.REFUSED, State.UNCLEAR: Event.LOST}
        if state in ends:
            store.settle(number, MOVES[ends[state]], NOW, claim="c1")
    row = store.get(number)
    assert row is not None
    assert row.state is state
    return row


def attempted(store: ApprovalStore, row: Approval, event: Event) -> None:
    move = MOVES[event]
    acts: dict[Event, Callable[[], Any]] = {
        Event.APPROVE: lambda: store.decide(row.number, move, decision(proposal(), by="bob")),
        Event.REJECT: lambda: store.decide(row.number, move, decision(proposal(), by="bob")),
        Event.WITHDRAW: lambda: store.withdraw(row.number, move),
        Event.EXPIRE: lambda: store.expire(move, row.expires_at),
        Event.CLAIM: lambda: store.claim(row.number, move, "c9", "<c9@ours.example>", NOW, 20),
    }
    acts.get(event, lambda: store.settle(row.number, move, NOW, claim=row.claim))()


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_the_store_moves_as_the_machine_says(store: ApprovalStore, state: State, event: Event) -> None:
    row = brought_to(store, state)
    attempted(store, row, event)
    after = store.get(row.number)
    assert after is not None
    assert after.state is (policy.after(state, event) or state)
    if policy.after(state, event) is None:
        assert after == row


# --- telling ---


def test_each_state_is_told_once_and_sending_never(store: ApprovalStore) -> None:
    number = store.add(proposal(), None, NOW).number
    assert [row.state for row in store.untold(10)] == [State.PENDING]
    store.told(number, State.PENDING)
    assert store.untold(10) == []
    store.decide(number, MOVES[Event.APPROVE], decision(proposal()))
    store.told(number, State.PENDING)
    assert [row.state for row in store.untold(10)] == [State.APPROVED], "it has changed meanwhile"
    store.claim(number, MOVES[Event.CLAIM], "c1", "<c1@ours.example>", NOW, 20)
    assert store.untold(10) == []
    store.settle(number, MOVES[Event.ACCEPTED], NOW, claim="c1")
    assert [row.state for row in store.untold(10)] == [State.SENT]
