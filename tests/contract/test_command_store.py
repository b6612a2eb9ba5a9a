"""The same promises from the fake store of commands and from the one on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.commands.model import CommandRecord, CommandState, Progress, Response, Written
from aegis_lib.db.database import Database
from aegis_lib.ports.commands import CommandStore
from tests.fakes.commands import ADA, FakeCommandStore

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
ROOM, OTHER = "100000000000000003", "100000000000000004"
DONE = Response(text="done — 完了", state=CommandState.COMPLETED)


@pytest.fixture(params=["fake", "real"])
def store(request: pytest.FixtureRequest) -> CommandStore:
    if request.param == "fake":
        return FakeCommandStore()
    database: Database = request.getfixturevalue("database")
    return database.commands


def written(message_id: int, content: str = "!help", **fields: object) -> Written:
    given = {
        "message_id": message_id, "author_id": ADA, "author_name": "ada", "content": content,
        "authorized": True, "late": False, "sent_at": NOON, **fields,
    }  # fmt: skip
    return Written.model_validate(given)


def kept(store: CommandStore, *commands: Written) -> list[CommandRecord]:
    store.begin(ROOM, 1, NOON)
    store.take_in(ROOM, commands, max((c.message_id for c in commands), default=1), NOON)
    return store.open_commands(ROOM, 100)


def claimed(store: CommandStore) -> CommandRecord:
    (record,) = kept(store, written(5))
    found = store.claim(record, "me")
    assert found is not None
    return found


def test_reading_begins_once(store: CommandStore) -> None:
    assert store.progress(ROOM) is None
    store.begin(ROOM, 2**62, NOON)
    store.begin(ROOM, 7, NOON)
    assert store.progress(ROOM) == Progress(channel_id=ROOM, first_id=2**62, last_id=2**62)
    assert store.progress(OTHER) is None


def test_a_wait_that_was_asked_for_before_the_first_start_is_kept_through_it(
    store: CommandStore,
) -> None:
    store.hold(ROOM, NOON)
    assert store.progress(ROOM) == Progress(channel_id=ROOM, hold_until=NOON)
    store.begin(ROOM, 7, NOON)
    assert store.progress(ROOM) == Progress(channel_id=ROOM, first_id=7, last_id=7, hold_until=NOON)
    store.set_textless(ROOM, NOON)
    store.hold(ROOM, None)
    assert store.progress(ROOM) == Progress(channel_id=ROOM, first_id=7, last_id=7, textless_since=NOON)


def test_reading_never_goes_back(store: CommandStore) -> None:
    store.begin(ROOM, 5, NOON)
    store.take_in(ROOM, [], 9, NOON)
    store.take_in(ROOM, [], 8, NOON)
    found = store.progress(ROOM)
    assert found is not None
    assert (found.first_id, found.last_id) == (5, 9)


def test_a_command_is_kept_once_per_message_and_stays_as_it_was_first_read(
    store: CommandStore,
) -> None:
    store.begin(ROOM, 1, NOON)
    assert store.take_in(ROOM, [written(5, "!task one\n二"), written(6)], 6, NOON) == 2
    assert store.take_in(ROOM, [written(5, "!task two"), written(7)], 7, NOON) == 1
    first = store.open_commands(ROOM, 100)[0]
    assert (first.message_id, first.content, first.author_id, first.author_name) == (
        5, "!task one\n二", ADA, "ada",
    )  # fmt: skip
    assert (first.authorized, first.late, first.sent_at, first.state) == (
        True, False, NOON, CommandState.PENDING,
    )  # fmt: skip
    assert (first.result, first.attempts, first.parts_sent, first.claim) == (None, 0, 0, None)


def test_text_that_a_database_cannot_hold_is_kept_as_far_as_it_can(store: CommandStore) -> None:
    (record,) = kept(store, written(5, "!task a\tb"))
    assert record.content == "!task a\tb"


def test_those_who_may_come_first_then_the_oldest(store: CommandStore) -> None:
    records = kept(
        store, written(100), written(3, authorized=False), written(20), written(4, authorized=False)
    )
    assert [record.message_id for record in records] == [20, 100, 3, 4]
    assert [record.message_id for record in store.open_commands(ROOM, 1)] == [20]
    assert (store.count_open(ROOM), store.count_open(OTHER)) == (4, 0)


def test_a_claim_is_won_by_one(store: CommandStore) -> None:
    (record,) = kept(store, written(5))
    mine, theirs = store.claim(record, "me"), store.claim(record, "them")
    assert mine is not None
    assert (mine.claim, mine.attempts, theirs) == ("me", 1, None)
    (seen,) = store.open_commands(ROOM, 100)
    assert seen == mine
    again = store.claim(seen, "me again")
    assert again is not None
    assert again.attempts == 2
    assert not store.settle(mine, DONE, NOON)
    assert not store.part_sent(mine, 1)
    assert not store.answered(mine, CommandState.COMPLETED, NOON)


def test_what_became_of_a_command_is_kept_once(store: CommandStore) -> None:
    record = claimed(store)
    assert store.settle(record, DONE, NOON)
    assert not store.settle(record, DONE, NOON)
    (seen,) = store.open_commands(ROOM, 100)
    assert (seen.result, seen.state) == (DONE.text, CommandState.COMPLETED)


def test_an_answered_command_is_over(store: CommandStore) -> None:
    record = claimed(store)
    store.settle(record, DONE, NOON)
    assert store.part_sent(record, 2)
    assert store.open_commands(ROOM, 100)[0].parts_sent == 2
    assert store.answered(record, CommandState.COMPLETED, NOON, "why not")
    assert not store.answered(record, CommandState.COMPLETED, NOON)
    assert store.claim(record, "late") is None
    assert (store.open_commands(ROOM, 100), store.count_open(ROOM)) == ([], 0)


def test_a_refused_command_is_over_without_an_answer(store: CommandStore) -> None:
    record = claimed(store)
    assert store.answered(record, CommandState.REFUSED, NOON)
    assert store.count_open(ROOM) == 0


def test_what_a_transaction_began_is_undone_when_it_fails(store: CommandStore) -> None:
    record = claimed(store)

    def fail_after_settling() -> None:
        with store.transaction():
            store.settle(record, DONE, NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_settling()
    assert store.open_commands(ROOM, 100)[0].result is None


def test_only_one_carries_out_commands(store: CommandStore) -> None:
    with store.exclusive() as held:
        assert held
    with store.exclusive() as again:
        assert again


def test_the_largest_id_that_there_can_be_is_kept(store: CommandStore) -> None:
    (record,) = kept(store, written(2**63 - 1, sent_at=NOON + timedelta(hours=1)))
    assert record.message_id == 2**63 - 1
