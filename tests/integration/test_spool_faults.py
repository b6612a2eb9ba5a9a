"""The spool against the machine's faults: a full disk, processes killed and racing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_lib.db import database
from aegis_lib.db.spool import FlushReport, Spool, SpoolFull, SpoolRecord
from aegis_lib.db.spooled_memory import SpooledMemory, flush_into
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.settings import DatabaseSettings
from tests import requirement
from tests.postgres import environment_of

LIMITED_BYTES = 4096


def run(
    program: str, *arguments: object, environment: DatabaseSettings | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program with the spool's names at hand, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", PREFACE + program, *map(str, arguments)],
        env=environment_of(environment) if environment else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


PREFACE = """
import os, signal, sys
from pathlib import Path
from aegis_lib.db.spool import Spool, SpoolFull
spool = Spool(Path(sys.argv[1]))
"""
FILL_UP = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
number = 0
try:
    while True:
        spool.append("episode", f"key-{number}", {"text": "x" * 300})
        number += 1
except SpoolFull as full:
    print(number)
    print(full)
"""


def keys(spool: Spool) -> list[str]:
    found: list[str] = []
    spool.flush(lambda record: found.append(record.key))
    return found


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    # A limit on the size of a file fails a write in its middle, as a full disk does, for any user.
    done = run(FILL_UP, tmp_path, LIMITED_BYTES)
    number, message = done.stdout.splitlines()
    assert int(number) > 3, done.stderr
    assert message == (
        f"Spool: the disk is full in {tmp_path}; this record is not kept. Fix: make room on that disk, "
        "and bring the database back so that the spool empties."
    )
    lines = (tmp_path / "pending.jsonl").read_bytes()
    assert len(lines) < LIMITED_BYTES
    assert lines.endswith(b"}\n")
    spool = Spool(tmp_path)
    spool.append("episode", "later", {})
    assert keys(spool) == [f"key-{n}" for n in range(int(number))] + ["later"]
    assert not (tmp_path / "rejected.jsonl").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        requirement.missing("tmpfs", f"Run as root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 200_000)
    return filler


def test_a_disk_without_room_is_said_and_everything_before_is_kept(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool")
    spool.append("episode", "first", {"text": "x" * 30_000})
    with pytest.raises(SpoolFull, match="the disk is full"):
        spool.append("episode", "second", {"text": "x" * 60_000})
    filler = fill(small_disk)
    with pytest.raises(SpoolFull, match="the disk is full"):
        spool.append("episode", "third", {"text": "x" * 10_000})
    filler.unlink()
    spool.append("episode", "fourth", {})
    assert keys(spool) == ["first", "fourth"]


def test_a_flush_works_on_a_full_disk(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool")
    for key in "ab":
        spool.append("episode", key, {"text": "x" * 10_000})
    fill(small_disk)

    def stop_at_b(record: SpoolRecord) -> None:
        if record.key == "b":
            raise DependencyUnavailable("PostgreSQL", "is away")

    # There is no room for the shorter file, so `a` stays too; its key makes applying it again harmless.
    assert spool.flush(stop_at_b) == FlushReport(applied=1, remaining=2, stopped_by="PostgreSQL: is away")
    assert keys(spool) == ["a", "b"]
    assert spool.pending() == 0


def test_a_record_that_cannot_be_set_aside_for_want_of_room_stays(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool")
    spool.append("episode", "a", {"text": "x" * 10_000})
    filler = fill(small_disk)

    def refuse(record: SpoolRecord) -> None:
        raise PermanentFailure("odd")

    with pytest.raises(SpoolFull):
        spool.flush(refuse)
    filler.unlink()
    assert spool.flush(refuse) == FlushReport(rejected=1)


def test_two_processes_appending_lose_and_mix_nothing(tmp_path: Path) -> None:
    program = PREFACE + (
        "for number in range(100):\n"
        "    spool.append('episode', f'{sys.argv[2]}-{number}', {'text': sys.argv[2] * 5000})\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], stderr=subprocess.PIPE)
        for name in "ab"
    ]
    spool = Spool(tmp_path)
    found: list[str] = []

    def apply(record: SpoolRecord) -> None:
        assert record.payload == {"text": record.key[0] * 5000}
        found.append(record.key)

    while any(process.poll() is None for process in processes):
        assert spool.flush(apply).rejected == 0  # a third process takes away what they write
    for process in processes:
        _, complaints = process.communicate(timeout=10)
        assert process.returncode == 0, complaints
    spool.flush(apply)
    assert len(found) == 200
    for name in "ab":
        assert [key for key in found if key[0] == name] == [f"{name}-{number}" for number in range(100)]


def test_a_flush_killed_between_applying_and_forgetting_applies_again_and_loses_nothing(
    tmp_path: Path, database_settings: DatabaseSettings
) -> None:
    spool = Spool(tmp_path)
    memory = SpooledMemory(None, spool)
    for number in range(3):
        memory.record("note", str(number), key=f"key-{number}")
    killed = run(
        "from aegis_lib.db import database\n"
        "from aegis_lib.db.spooled_memory import flush_into\n"
        "from aegis_lib.settings import DatabaseSettings\n"
        "class Kills:\n"
        "    def record(self, event_type, summary, *others, **more):\n"
        "        with database.connect(DatabaseSettings()) as db:\n"
        "            db.memory.record(event_type, summary, *others, **more)\n"
        "        if summary == '1':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "flush_into(spool, Kills())\n",
        tmp_path,
        environment=database_settings,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert spool.pending() == 3
    with database.connect(database_settings) as db:
        assert sorted(e.summary for e in db.memory.recall_recent()) == ["0", "1"]
        assert flush_into(spool, db.memory) == FlushReport(applied=3)
        assert sorted(e.summary for e in db.memory.recall_recent()) == ["0", "1", "2"]
    assert spool.pending() == 0


def test_a_writer_killed_in_the_middle_spoils_only_its_own_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append("episode", "before", {})
    killed = run(
        "from aegis_lib.db import spool as module\n"
        "def torn(descriptor, data):\n"
        "    os.write(descriptor, bytes(data)[: len(data) // 2])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "module._write_all = torn\n"
        "spool.append('episode', 'during', {'text': 'x' * 100})\n",
        tmp_path,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    spool.append("episode", "after", {})
    assert keys(spool) == ["before", "after"]
    [line] = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert "during" in json.loads(line)["record"]


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append("episode", "a", {})
    killed = run("spool.flush(lambda record: os.kill(os.getpid(), signal.SIGKILL))", tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert keys(spool) == ["a"]
