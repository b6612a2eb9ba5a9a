"""Journal and outage memory on disks that are full, closed or read-only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from aegis_lib.adapters.journal import FileJournal
from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.health import service
from aegis_lib.health.model import HealthConfig, HealthReport, Outage, Stage
from deployments.child_process import ChildProcess, trim
from tests import requirement
from tests.fakes.alerts import FakeNotifier
from tests.fakes.health import FakeAnsweringDatabase, FakeProbe
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 1, 25)
START = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        requirement.missing("tmpfs", f"Run as root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (place / "filler").write_bytes(b"x" * 200_000)


def test_a_full_disk_leaves_the_journal_page_as_it_was_and_says_so(small_disk: Path) -> None:
    page = small_disk / "2026-01-25.md"
    page.write_text("a human's words\n")
    fill(small_disk)
    with pytest.raises(DependencyUnavailable, match=r"journal: no room .*No space left.*make room there"):
        FileJournal(small_disk).write(DAY, "digest", "x" * 5000)
    assert page.read_text() == "a human's words\n"
    assert sorted(path.name for path in small_disk.iterdir()) == ["2026-01-25.md", "filler"]
    (small_disk / "filler").unlink()
    FileJournal(small_disk).write(DAY, "digest", "x" * 5000)
    assert page.read_text().startswith("a human's words\n\n<!-- aegis digest begin")


def check(spool: Path, probe: FakeProbe, now: datetime, notifier: FakeNotifier,
          database: FakeAnsweringDatabase | None = None) -> HealthReport:  # fmt: skip
    return service.check(
        probe, (database or FakeAnsweringDatabase()).connect, SpooledMemory(None, Spool(spool)),
        OutageFile(spool), notifier, None, now=now, config=HealthConfig(),
    )  # fmt: skip


def test_on_a_full_disk_the_outage_is_remembered_alerted_once_and_recorded_later(small_disk: Path) -> None:
    spool, probe, notifier = small_disk / "spool", FakeProbe(), FakeNotifier()
    spool.mkdir()
    fill(small_disk)
    probe.broken = DependencyUnavailable("PostgreSQL", "away.")
    reports = [check(spool, probe, START + n * timedelta(minutes=5), notifier) for n in range(3)]
    assert [m.title for m in notifier.sent] == ["Database down"]
    assert "the disk is full" in notifier.sent[0].body, "what cannot be kept is said"
    assert "the disk is full" in reports[0].summary
    assert reports[2].outage is not None
    assert (reports[2].outage.since, reports[2].outage.stage) == (START, Stage.ALERTED)
    probe.broken = None
    database = FakeAnsweringDatabase()
    check(spool, probe, START + timedelta(minutes=15), notifier, database)
    assert [e.event_type for e in database.memory.recorded] == ["db_outage", "db_recovery"]
    assert database.memory.recorded[0].timestamp == START
    assert [m.title for m in notifier.sent] == ["Database down", "Database is back"]
    assert not list(spool.glob("outage-*"))


def test_an_outage_file_moves_on_a_full_disk(small_disk: Path) -> None:
    fill(small_disk)
    outages, outage = OutageFile(small_disk), Outage(since=START, error="away")
    with outages.hold() as held:
        assert held
        outages.open(outage)
        outages.advance(outages.advance(outage, Stage.ALERTED), Stage.RECOVERED, START + timedelta(hours=1))
    found = outages.current()
    assert found is not None
    assert (found.since, found.until) == (START, START + timedelta(hours=1))


WRITE = """
import sys
from datetime import date
from pathlib import Path
from aegis_lib.adapters.journal import FileJournal
from aegis_lib.errors import AegisError
try:
    print(FileJournal(Path(sys.argv[1])).write(date(2026, 1, 25), "digest", "ours"))
except AegisError as error:
    print(type(error).__name__, error)
"""

CHECK = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.health import service
from aegis_lib.health.model import HealthConfig
from tests.fakes.alerts import FakeNotifier
from tests.fakes.health import FakeAnsweringDatabase, FakeProbe
from tests.waiting import wait_until
probe, notifier, spool = FakeProbe(), FakeNotifier(), Path(sys.argv[1])
probe.broken = DependencyUnavailable("PostgreSQL", "away.")
service.check(probe, FakeAnsweringDatabase().connect, SpooledMemory(None, Spool(spool)), OutageFile(spool),
    notifier, None, now=datetime.now(UTC), config=HealthConfig())
print(notifier.sent[0].body)
"""


def without_privilege(script: str, directory: Path) -> str:
    """Run a script that obeys the permissions of files, as every user but root does."""
    ordinary = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*ordinary, sys.executable, "-c", script, str(directory)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that one may read and not write."""
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o555)
    yield place
    place.chmod(0o755)


def test_a_journal_that_may_not_be_written_names_user_variable_and_remedy(closed: Path) -> None:
    said = without_privilege(WRITE, closed)
    assert said.startswith(f"Misconfigured AEGIS_JOURNAL_DIR: the journal in {closed} cannot be written: ")
    assert "Permission denied" in said
    assert "may write, or name another one" in said
    assert list(closed.iterdir()) == []


def test_a_page_in_a_closed_directory_stays_as_it_is(closed: Path) -> None:
    closed.chmod(0o755)
    (closed / "2026-01-25.md").write_text("mine\n")
    closed.chmod(0o555)
    assert "Misconfigured AEGIS_JOURNAL_DIR" in without_privilege(WRITE, closed)
    assert (closed / "2026-01-25.md").read_text() == "mine\n"


def test_a_journal_below_a_closed_directory_cannot_be_made(closed: Path) -> None:
    assert "cannot be written: Permission denied" in without_privilege(WRITE, closed / "memory" / "journal")


def test_a_check_that_may_not_write_its_spool_alerts_and_says_that_it_repeats(closed: Path) -> None:
    said = without_privilege(CHECK, closed)
    assert "repeats at every check" in said
    assert "Permission denied" in said


@pytest.mark.parametrize("log_file", ["worker.log", "filler/below-a-file.log"])
def test_a_part_of_the_stack_starts_although_there_is_no_room_for_its_log(
    small_disk: Path, log_file: str
) -> None:
    fill(small_disk)
    done = small_disk.parent / "done"
    child = [sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()", str(done)]
    part = ChildProcess("worker", child, dict(os.environ), small_disk, small_disk / log_file, grace_seconds=1)
    part.start()
    wait_until(done.exists, description="the part's work")
    part.stop()


def test_a_log_that_fills_the_disk_is_emptied(small_disk: Path) -> None:
    log_file = small_disk / "worker.log"
    with pytest.raises(OSError, match="No space"):
        log_file.write_bytes(b"x" * 200_000)
    trim(log_file, largest_bytes=1000)
    assert log_file.stat().st_size == 0
    assert [path.name for path in small_disk.iterdir()] == ["worker.log"]
