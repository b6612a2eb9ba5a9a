"""The state machine of proposals, as a table over every state and every event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aegis_lib.approvals import policy
from aegis_lib.approvals.model import Approval, ApprovalsConfig, State, Via
from aegis_lib.approvals.policy import MOVES, Event
from tests.approval_values import HOUR, MINUTE, NOW, proposal

P, A, R, X = State.PENDING, State.APPROVED, State.REJECTED, State.EXPIRED
G, S, F, U = State.SENDING, State.SENT, State.FAILED, State.UNCLEAR
TABLE: dict[Event, dict[State, State]] = {
    Event.APPROVE: {P: A},
    Event.REJECT: {P: R, A: R},
    Event.WITHDRAW: {A: P},
    Event.EXPIRE: {P: X, A: X},
    Event.CLAIM: {A: G},
    Event.RELEASE: {G: A},
    Event.ACCEPTED: {G: S},
    Event.REFUSED: {G: F},
    Event.LOST: {G: U},
    Event.ARRIVED: {U: S},
    Event.VANISHED: {U: F},
}


def approval(**values: object) -> Approval:
    made = proposal()
    usual = {"number": 1, "digest": made.digest, "state": P, "proposed_at": NOW}
    return Approval.model_validate({**made.model_dump(), **usual, **values})


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_what_each_event_does_in_each_state(state: State, event: Event) -> None:
    assert policy.after(state, event) == TABLE[event].get(state)


def test_the_table_is_the_whole_machine() -> None:
    assert set(MOVES) == set(Event) == set(TABLE)
    assert {state for row in TABLE.values() for pair in row.items() for state in pair} == set(State)


def test_no_way_leads_out_of_an_end() -> None:
    left = {state for move in MOVES.values() for state in move.sources}
    assert set(State) - left == {R, X, S, F}


def reachable(start: State, without: set[Event]) -> set[State]:
    found, new = set(), {start}
    while new:
        found |= new
        new = {t for s in found for e in set(Event) - without if (t := policy.after(s, e))} - found
    return found


def test_nothing_is_sent_that_was_not_approved() -> None:
    assert reachable(P, {Event.APPROVE}) == {P, R, X}


@pytest.mark.parametrize("end", [R, X, S, F])
def test_what_is_over_is_never_sent(end: State) -> None:
    assert reachable(end, set()) == {end}


def test_what_is_unclear_is_never_sent_again() -> None:
    assert reachable(U, set()) == {U, S, F}
    assert policy.after(U, Event.CLAIM) is None


def test_sending_always_begins_with_a_claim() -> None:
    assert [event for event, move in MOVES.items() if move.target is G] == [Event.CLAIM]
    assert S not in reachable(A, {Event.CLAIM})


def test_no_kind_is_allowed_by_default() -> None:
    assert ApprovalsConfig().allow == ()
    assert not policy.allowed_by_rule("customer_reply", ApprovalsConfig())
    assert policy.allowed_by_rule("customer_reply", ApprovalsConfig(allow=("customer_reply",)))
    assert not policy.allowed_by_rule("customer_replies", ApprovalsConfig(allow=("customer_reply",)))


@pytest.mark.parametrize(
    ("via", "allow", "gone"),
    [(Via.RULE, (), True), (Via.RULE, ("customer_reply",), False), (Via.CLI, (), False), (None, (), False)],
)
def test_an_approval_by_a_rule_ends_with_the_rule(
    via: Via | None, allow: tuple[str, ...], gone: bool
) -> None:
    assert policy.rule_is_gone(approval(decided_via=via), ApprovalsConfig(allow=allow)) is gone


def test_the_moment_of_expiry_is_over() -> None:
    made = approval(expires_at=NOW + HOUR)
    assert not policy.is_over(made, NOW + HOUR - timedelta(microseconds=1))
    assert policy.is_over(made, NOW + HOUR)


def test_what_a_died_process_claimed_only_may_be_tried_again() -> None:
    assert policy.after_death(approval(state=G, attempts=1), ApprovalsConfig())[0] is Event.RELEASE


def test_what_a_died_process_had_handed_over_is_unclear() -> None:
    held = approval(state=G, attempts=1, handed_over_at=NOW)
    assert policy.after_death(held, ApprovalsConfig())[0] is Event.LOST


def test_a_mail_that_kills_its_process_again_and_again_is_given_up() -> None:
    held = approval(state=G, attempts=6)
    assert policy.after_death(held, ApprovalsConfig(attempts=6))[0] is Event.REFUSED


def test_the_waits_between_attempts_grow_to_six_hours() -> None:
    waits = [policy.wait_before(number) / MINUTE for number in (1, 2, 3, 4, 5, 6, 1000)]
    assert waits == [5, 20, 80, 320, 360, 360, 360]
