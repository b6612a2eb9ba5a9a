"""The outage on local disk; faults of the machine are in tests/integration/test_disk_faults.py."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.errors import PermanentFailure
from aegis_lib.health.model import Outage, Stage

SINCE = datetime(2026, 1, 25, 6, 0, 0, 123456, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=15)
OUTAGE = Outage(since=SINCE, error="no connection — to db:5432")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "spool"


@pytest.fixture
def outages(directory: Path) -> OutageFile:
    return OutageFile(directory)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != "outage.lock")


def test_nothing_is_made_by_looking(outages: OutageFile, directory: Path) -> None:
    assert outages.current() is None
    assert not directory.exists()


def test_another_process_sees_the_outage_as_it_was_remembered(outages: OutageFile, directory: Path) -> None:
    with outages.hold() as held:
        assert held
        outages.open(OUTAGE)
    assert OutageFile(directory).current() == OUTAGE
    assert names(directory) == ["outage-20260125T060000123456Z.open"]


def test_the_name_of_the_file_says_how_far_it_has_come(outages: OutageFile, directory: Path) -> None:
    with outages.hold():
        outages.open(OUTAGE)
        alerted = outages.advance(OUTAGE, Stage.ALERTED)
        assert outages.current() == alerted
        assert names(directory) == ["outage-20260125T060000123456Z.alerted"]
        recovered = outages.advance(alerted, Stage.RECOVERED, UNTIL)
        assert (
            outages.current()
            == recovered
            == OUTAGE.model_copy(update={"stage": Stage.RECOVERED, "until": UNTIL})
        )
        assert names(directory) == ["outage-20260125T060000123456Z-20260125T061500123456Z.recovered"]
        outages.close(recovered)
        assert outages.current() is None
        outages.close(recovered)  # a second time is no error
    assert names(directory) == []


def test_opening_twice_keeps_the_first_cause(outages: OutageFile) -> None:
    with outages.hold():
        outages.open(OUTAGE)
        outages.open(OUTAGE.model_copy(update={"error": "another"}))
    assert outages.current() == OUTAGE


def test_the_same_moment_in_another_zone_is_the_same_outage(outages: OutageFile) -> None:
    tokyo = OUTAGE.model_copy(update={"since": SINCE.astimezone(timezone(timedelta(hours=9)))})
    with outages.hold():
        outages.open(tokyo)
        outages.advance(OUTAGE, Stage.ALERTED)
    found = outages.current()
    assert found is not None
    assert found.since == SINCE
    assert found.stage is Stage.ALERTED


def test_an_empty_file_still_says_when_it_began(outages: OutageFile, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "outage-20260125T060000000000Z.open").touch()
    assert outages.current() == Outage(since=SINCE.replace(microsecond=0))


@pytest.mark.parametrize(
    "name",
    [
        "pending.jsonl",
        "outage.lock",
        "outage-.open",
        "outage-2026.open",
        "outage-20260125T060000000000Z.gone",
        "outage-20260125T060000000000Z.open.bak",
    ],
)
def test_other_files_in_the_directory_are_no_outage(outages: OutageFile, directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    (directory / name).write_text("x")
    assert outages.current() is None


def test_a_name_with_an_impossible_date_is_no_outage(outages: OutageFile, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "outage-20261399T060000000000Z.open").touch()
    assert outages.current() is None


def test_only_one_check_at_a_time_acts(directory: Path) -> None:
    with OutageFile(directory).hold() as first, OutageFile(directory).hold() as second:
        assert (first, second) == (True, False)
    with OutageFile(directory).hold() as again:
        assert again


def test_a_long_error_is_cut_and_bytes_that_are_no_text_are_shown_somehow(
    outages: OutageFile, directory: Path
) -> None:
    with outages.hold():
        outages.open(Outage(since=SINCE, error="x" * 10_000))
    [name] = names(directory)
    assert (directory / name).stat().st_size == 2000
    (directory / name).write_bytes(b"\xff\xfe torn")
    found = outages.current()
    assert found is not None
    assert "torn" in found.error


def test_only_the_owner_can_read_it(outages: OutageFile, directory: Path) -> None:
    with outages.hold():
        outages.open(OUTAGE)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_file_in_the_way_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    outages = OutageFile(tmp_path / "spool")
    with pytest.raises(PermanentFailure, match=r"cannot be used: .*AEGIS_DATA_DIR"), outages.hold():
        pass
    with pytest.raises(PermanentFailure, match="cannot be read: Not a directory"):
        outages.current()


def test_an_outage_that_vanished_meanwhile_is_said(outages: OutageFile) -> None:
    with outages.hold(), pytest.raises(PermanentFailure, match="cannot remember the outage"):
        outages.advance(OUTAGE, Stage.ALERTED)
