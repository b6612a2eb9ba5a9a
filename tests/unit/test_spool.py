"""The spool's promises; faults of the machine are in tests/integration/test_spool_faults.py."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_lib.db import spool as spool_module
from aegis_lib.db.spool import FlushReport, RecordTooLarge, Spool, SpoolFull, SpoolRecord
from aegis_lib.db.spooled_memory import SpooledMemory, flush_into
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.memory.model import Importance
from tests.fakes.memory import FakeMemory

AWAY = DependencyUnavailable("PostgreSQL", "is away")
THEN = datetime(2026, 1, 25, 6, tzinfo=UTC)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def keys_applied(spool: Spool) -> list[str]:
    keys: list[str] = []
    spool.flush(lambda record: keys.append(record.key))
    return keys


def test_records_are_applied_in_order_and_then_gone(spool: Spool) -> None:
    for number in range(3):
        spool.append("episode", f"key-{number}", {"number": number})
    records: list[SpoolRecord] = []
    assert spool.pending() == 3
    assert spool.flush(records.append) == FlushReport(applied=3)
    assert [(r.kind, r.key, r.payload) for r in records] == [
        ("episode", f"key-{number}", {"number": number}) for number in range(3)
    ]
    assert spool.pending() == 0
    assert keys_applied(spool) == []


def test_an_empty_spool_makes_no_directory(spool: Spool) -> None:
    assert spool.pending() == 0
    assert spool.flush(lambda record: None) == FlushReport()
    assert not spool.directory.exists()


def test_only_the_owner_can_read_what_waits(spool: Spool) -> None:
    spool.append("episode", "a", {})
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.directory.iterdir()} == {0o600}


def test_a_database_that_goes_away_again_keeps_the_rest_in_order(spool: Spool) -> None:
    for key in "abc":
        spool.append("episode", key, {})

    def apply(record: SpoolRecord) -> None:
        if record.key == "b":
            raise AWAY

    assert spool.flush(apply) == FlushReport(applied=1, remaining=2, stopped_by="PostgreSQL: is away")
    spool.append("episode", "d", {})
    assert keys_applied(spool) == ["b", "c", "d"]


def test_a_record_refused_for_good_is_set_aside_and_does_not_block(spool: Spool) -> None:
    for key in "abc":
        spool.append("episode", key, {"text": "naïve"})

    def apply(record: SpoolRecord) -> None:
        if record.key == "b":
            raise PermanentFailure("too odd")

    assert spool.flush(apply) == FlushReport(applied=2, rejected=1)
    [line] = (spool.directory / "rejected.jsonl").read_text().splitlines()
    rejected = json.loads(line)
    assert rejected["reason"] == "too odd"
    assert json.loads(rejected["record"])["payload"] == {"text": "naïve"}
    assert spool.pending() == 0


@pytest.mark.parametrize("error", [Misconfigured("POSTGRES_PASSWORD", "is wrong"), RuntimeError("defect")])
def test_an_error_that_is_not_the_records_keeps_it_and_is_passed_on(spool: Spool, error: Exception) -> None:
    for key in "abc":
        spool.append("episode", key, {})

    def apply(record: SpoolRecord) -> None:
        if record.key == "b":
            raise error

    with pytest.raises(type(error)):
        spool.flush(apply)
    assert keys_applied(spool) == ["b", "c"]
    assert not (spool.directory / "rejected.jsonl").exists()


def test_what_is_appended_during_a_flush_waits_for_the_next(spool: Spool) -> None:
    spool.append("episode", "a", {})
    assert spool.flush(lambda record: spool.append("episode", "b", {})).remaining == 1
    assert keys_applied(spool) == ["b"]


def test_a_second_flush_at_the_same_time_does_nothing(spool: Spool) -> None:
    spool.append("episode", "a", {})
    inner: list[FlushReport] = []
    spool.flush(lambda record: inner.append(spool.flush(lambda again: pytest.fail("applied twice"))))
    assert inner == [FlushReport(remaining=1, busy=True)]


@pytest.mark.parametrize("torn", [b'{"kind":"episode","key":"to', b"\0\0\0\0", b'{"kind":1}', b"\xff\xfe"])
def test_a_torn_last_line_is_reported_and_spoils_nothing_else(spool: Spool, torn: bytes) -> None:
    spool.append("episode", "a", {})
    with (spool.directory / "pending.jsonl").open("ab") as file:
        file.write(torn)
    spool.append("episode", "b", {})
    keys: list[str] = []
    report = spool.flush(lambda record: keys.append(record.key))
    assert keys == ["a", "b"]
    assert report == FlushReport(applied=2, rejected=1)
    assert "torn" in (spool.directory / "rejected.jsonl").read_text()


def test_a_record_beyond_the_limit_is_refused_and_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(RecordTooLarge, match="at most 1048576 bytes"):
        spool.append("episode", "a", {"text": "x" * (1 << 20)})
    assert spool.pending() == 0


def test_a_spool_beyond_its_limit_says_that_it_is_full(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_SPOOL_BYTES", 200)
    spool.append("episode", "a", {})
    with pytest.raises(SpoolFull, match=r"wait in .*spool; this record is not kept"):
        spool.append("episode", "b", {"text": "x" * 100})
    assert keys_applied(spool) == ["a"]


def test_a_directory_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"AEGIS_DATA_DIR: the spool .* cannot be used"):
        Spool(tmp_path / "file" / "spool").append("episode", "a", {})


def test_odd_values_are_spooled_as_text(spool: Spool) -> None:
    spool.append("episode", "a", {"at": THEN, "ratio": float("nan"), "bad": "a\0b\udcff", 1: {2}})
    payloads: list[dict[str, object]] = []
    spool.flush(lambda record: payloads.append(record.payload))
    assert payloads == [
        {"at": "2026-01-25T06:00:00+00:00", "ratio": "nan", "bad": "a\ufffdb\ufffd\ufffd\ufffd", "1": [2]}
    ]


def test_memory_stores_directly_while_the_database_is_there(spool: Spool) -> None:
    fake = FakeMemory()
    assert SpooledMemory(fake, spool).record("job_error", "broken", key="k", timestamp=THEN) == 1
    assert [e.key for e in fake.recorded] == ["k"]
    assert spool.pending() == 0


@pytest.mark.parametrize("opened", [True, False])
def test_memory_spools_an_event_with_its_time_and_key_while_the_database_is_away(
    spool: Spool, opened: bool
) -> None:
    away = FakeMemory()
    away.broken = AWAY
    memory = SpooledMemory(away if opened else None, spool)
    answer = memory.record(
        "job_error",
        "broken\0",
        {"at": THEN},
        Importance.HIGH,
        ["a"],
        context={"b": 1},
        decision="wait",
        timestamp=THEN,
        key="k",
    )
    assert answer is None
    back = FakeMemory()
    assert memory.flush_into(back) == FlushReport(applied=1)
    [episode] = back.recorded
    assert (episode.timestamp, episode.key, episode.summary) == (THEN, "k", "broken\ufffd")
    assert (episode.importance, episode.tags, episode.decision) == (Importance.HIGH, ("a",), "wait")
    assert (episode.details, episode.context) == ({"at": THEN.isoformat()}, {"b": 1})


def test_the_key_tried_on_the_database_is_the_key_spooled(spool: Spool) -> None:
    class LosesTheAnswer(FakeMemory):
        def record(self, *arguments: object, **named: object) -> int | None:
            super().record(*arguments, **named)  # type: ignore[arg-type]
            raise AWAY

    memory = LosesTheAnswer()
    assert SpooledMemory(memory, spool).record("job_error", "broken") is None
    back = FakeMemory()
    back.rows = memory.rows
    flush_into(spool, back)
    assert len(back.rows) == 1


def test_memory_that_refuses_us_does_not_spool(spool: Spool) -> None:
    refusing = FakeMemory()
    refusing.broken = Misconfigured("POSTGRES_PASSWORD", "is wrong")
    with pytest.raises(Misconfigured):
        SpooledMemory(refusing, spool).record("job_error", "broken")
    assert spool.pending() == 0


def test_an_event_too_large_for_the_spool_is_kept_without_its_details(spool: Spool) -> None:
    SpooledMemory(None, spool).record("job_error", "broken", {"log": "x" * (2 << 20)})
    back = FakeMemory()
    flush_into(spool, back)
    assert [(e.summary, e.details) for e in back.recorded] == [
        ("broken", {"left_out": "too large for the spool"})
    ]


def test_records_that_are_no_events_are_set_aside(spool: Spool) -> None:
    spool.append("letter", "a", {})
    spool.append("episode", "b", {"event_type": ""})
    SpooledMemory(None, spool).record("job_error", "broken")
    back = FakeMemory()
    assert flush_into(spool, back) == FlushReport(applied=1, rejected=2)


def test_nothing_is_recalled_while_the_database_is_away(spool: Spool) -> None:
    memory = SpooledMemory(None, spool)
    with pytest.raises(DependencyUnavailable):
        memory.recall_recent()
    with pytest.raises(DependencyUnavailable):
        memory.find_similar([1.0] * 1536)
    present = SpooledMemory(FakeMemory(), spool)
    present.record("x", "y")
    assert [e.summary for e in present.recall_recent()] == ["y"]
    assert present.find_similar([1.0] * 1536) == []
