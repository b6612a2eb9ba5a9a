"""Proposing and deciding: who was first is told, and what was not decided is not changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis_lib.approvals import service
from aegis_lib.approvals.model import (
    AlreadyDecided,
    Approval,
    ApprovalExpired,
    ApprovalsConfig,
    ContentChanged,
    State,
    UnknownApproval,
    Via,
)
from aegis_lib.approvals.policy import MOVES, Event
from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Outcome
from tests.approval_values import DAY, HOUR, NOW, proposal
from tests.fakes.approvals import FakeApprovals

NO_RULES = ApprovalsConfig()
RULES = ApprovalsConfig(allow=("customer_reply",))
Act = Callable[..., Approval]


@pytest.fixture
def store() -> FakeApprovals:
    return FakeApprovals()


def proposed(store: FakeApprovals, key: str = "reply:1", **values: Any) -> Approval:
    return service.propose(store, proposal(key, **values), NO_RULES, NOW)


def test_without_a_rule_everything_waits(store: FakeApprovals) -> None:
    assert proposed(store).state is State.PENDING


def test_a_rule_approves_its_kind_and_says_that_it_was_a_rule(store: FakeApprovals) -> None:
    ruled = service.propose(store, proposal(), RULES, NOW)
    assert (ruled.state, ruled.decided_by, ruled.decided_via) == (
        State.APPROVED,
        "approvals.allow: customer_reply",
        Via.RULE,
    )
    other = service.propose(store, proposal("cold:1", kind="cold_mail"), RULES, NOW)
    assert other.state is State.PENDING


def test_proposing_again_changes_nothing_also_after_a_rule_came(store: FakeApprovals) -> None:
    first = proposed(store)
    assert service.propose(store, proposal(body="Another text."), RULES, NOW + HOUR) == first


def test_a_proposal_that_is_over_already_is_refused(store: FakeApprovals) -> None:
    with pytest.raises(PermanentFailure, match="expires_at"):
        proposed(store, expires_at=NOW)
    assert store.rows == {}


def test_what_waits_is_listed_oldest_first_without_what_is_over(store: FakeApprovals) -> None:
    numbers = [proposed(store, f"reply:{number}").number for number in range(3)]
    proposed(store, "reply:9", expires_at=NOW + HOUR)
    service.approve(store, numbers[1], "ada", NOW)
    waiting = service.pending(store, NOW + HOUR)
    assert [row.number for row in waiting] == [numbers[0], numbers[2]]


def test_who_when_and_from_where_is_kept(store: FakeApprovals) -> None:
    number = proposed(store).number
    done = service.approve(store, number, " ada \n lovelace ", NOW + HOUR, via=Via.DISCORD, note=" fine ")
    assert (done.decided_by, done.decided_at, done.decided_via, done.note) == (
        "ada lovelace",
        NOW + HOUR,
        Via.DISCORD,
        "fine",
    )
    assert done.approved_digest == done.digest


@pytest.mark.parametrize("act", [service.approve, service.reject])
def test_a_number_that_is_none_is_said(store: FakeApprovals, act: Act) -> None:
    with pytest.raises(UnknownApproval, match="no proposal 7"):
        act(store, 7, "ada", NOW)


@pytest.mark.parametrize("act", [service.approve, service.reject])
def test_nobody_decides_namelessly(store: FakeApprovals, act: Act) -> None:
    number = proposed(store).number
    with pytest.raises(PermanentFailure, match="Nobody is named"):
        act(store, number, " \n", NOW)


@pytest.mark.parametrize("act", [service.approve, service.reject])
@pytest.mark.parametrize("marked", [True, False])
def test_a_decision_that_comes_too_late_is_told_so(store: FakeApprovals, act: Act, marked: bool) -> None:
    row = proposed(store)
    if marked:
        store.expire(MOVES[Event.EXPIRE], row.expires_at)
    with pytest.raises(ApprovalExpired, match="expired at 2096-03-16T09:00:00Z, so that it is never sent"):
        act(store, row.number, "ada", row.expires_at)
    assert store.rows[row.number].decided_by is None


def test_the_second_hears_who_was_first(store: FakeApprovals) -> None:
    number = proposed(store).number
    service.reject(store, number, "ada", NOW, via=Via.DISCORD)
    for act in (service.approve, service.reject):
        with pytest.raises(AlreadyDecided, match=r"is rejected already, by ada \(discord\) at 2096-03-14T09"):
            act(store, number, "bob", NOW + HOUR)
    assert store.rows[number].decided_by == "ada"


def test_the_same_person_may_say_the_same_again(store: FakeApprovals) -> None:
    number = proposed(store).number
    first = service.approve(store, number, "ada", NOW, via=Via.DISCORD)
    assert service.approve(store, number, "ada", NOW + HOUR, via=Via.DISCORD) == first
    with pytest.raises(AlreadyDecided):
        service.approve(store, number, "ada", NOW + HOUR, via=Via.CLI)


def test_an_approval_can_be_taken_back(store: FakeApprovals) -> None:
    number = proposed(store).number
    service.approve(store, number, "ada", NOW)
    assert service.reject(store, number, "bob", NOW).state is State.REJECTED


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.SENDING, "is being sent already; it was approved by ada"),
        (State.SENT, "was sent already"),
        (State.UNCLEAR, "may have been sent already"),
        (State.FAILED, "has failed already"),
    ],
)
def test_what_is_on_its_way_cannot_be_taken_back(store: FakeApprovals, state: State, said: str) -> None:
    number = proposed(store).number
    service.approve(store, number, "ada", NOW)
    store.change(number, state=state)
    with pytest.raises(AlreadyDecided, match=said):
        service.reject(store, number, "bob", NOW)


CHANGES = [
    {"recipient": "all@evil.example"},
    {"subject": "Another"},
    {"body": "Send money."},
    {"in_reply_to": "<9@evil.example>"},
    {"references": ("<9@evil.example>",)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_what_was_changed_after_it_was_proposed_is_not_approved(
    store: FakeApprovals, change: dict[str, Any]
) -> None:
    number = proposed(store).number
    store.change(number, **change)
    with pytest.raises(ContentChanged, match="was changed after it was proposed"):
        service.approve(store, number, "ada", NOW)
    assert service.reject(store, number, "ada", NOW).state is State.REJECTED


def test_what_changes_between_reading_and_approving_is_not_approved(store: FakeApprovals) -> None:
    seen = proposed(store)
    other = proposal(body="Send money.")
    store.change(seen.number, body=other.body, digest=other.digest)
    with pytest.raises(ContentChanged):
        service.approve(store, seen.number, "ada", NOW, seen=seen)


def test_a_decision_by_a_job_is_a_result_also_when_it_comes_too_late(store: FakeApprovals) -> None:
    number = proposed(store).number
    first = service.decide(store, number, "approve", "run one", NOW, via=Via.PREFECT_UI)
    assert (first.outcome, first.state) == (Outcome.COMPLETED, State.APPROVED)
    assert first.summary == f"Proposal {number} is approved and will be sent within minutes."
    late = service.decide(store, number, "approve", "run two", NOW, via=Via.PREFECT_UI)
    assert (late.outcome, late.state) == (Outcome.DEGRADED, State.APPROVED)
    assert "by run one (prefect-ui)" in late.summary
    back = service.decide(store, number, "reject", "run three", NOW, via=Via.PREFECT_UI)
    assert (back.outcome, back.state) == (Outcome.COMPLETED, State.REJECTED)
    nothing = service.decide(store, 99, "reject", "run four", NOW, via=Via.PREFECT_UI)
    assert (nothing.outcome, nothing.state) == (Outcome.DEGRADED, None)


@pytest.mark.parametrize(("arrived", "state"), [(True, State.SENT), (False, State.FAILED)])
def test_a_human_settles_what_is_unclear(store: FakeApprovals, arrived: bool, state: State) -> None:
    number = proposed(store).number
    store.change(number, state=State.UNCLEAR, claim="c1")
    settled = service.settle(store, number, "ada", NOW, arrived=arrived)
    assert settled.state is state
    assert "ada found out" in settled.reply
    with pytest.raises(AlreadyDecided, match=f"is {state.value}, not unclear"):
        service.settle(store, number, "ada", NOW, arrived=arrived)


@pytest.mark.parametrize("state", [one for one in State if one is not State.UNCLEAR])
def test_nothing_else_can_be_settled(store: FakeApprovals, state: State) -> None:
    number = proposed(store).number
    store.change(number, state=state)
    with pytest.raises(AlreadyDecided):
        service.settle(store, number, "ada", NOW, arrived=True)
    assert store.rows[number].state is state


def test_unsubscribing_holds_at_once_and_for_ever(store: FakeApprovals) -> None:
    waiting, ready = proposed(store, "reply:1"), proposed(store, "reply:2")
    service.approve(store, ready.number, "ada", NOW)
    assert service.suppress(store, "Ada+list@Example.org", " asked ", "mail", NOW) is True
    assert {store.rows[row.number].state for row in (waiting, ready)} == {State.REJECTED}
    assert service.suppress(store, "ada@example.org", "again", "mail", NOW + HOUR) is False
    (entry,) = store.suppressions(10)
    assert (entry.address, entry.reason, entry.added_at) == ("ada@example.org", "asked", NOW)
    later = service.propose(store, proposal("reply:3", expires_at=NOW + 9999 * DAY), RULES, NOW + 5000 * DAY)
    assert (later.state, later.decided_via) == (State.REJECTED, Via.SUPPRESSION)
    with pytest.raises(AlreadyDecided):
        service.approve(store, later.number, "ada", NOW)


def test_what_is_no_address_cannot_be_suppressed(store: FakeApprovals) -> None:
    with pytest.raises(PermanentFailure, match="one plain mail address"):
        service.suppress(store, "Ada <ada@example.org>", "", "ada", NOW)
    assert store.suppressions(10) == []
