"""The page as a file: replaced in one step, readable by a web server; clear words when it cannot be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aegis_lib.adapters import report_files
from aegis_lib.adapters.report_files import ReportFile
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import ReportSettings


def test_the_page_is_written_where_the_setting_says_for_everybody_to_read(tmp_path: Path) -> None:
    place = report_files.connect(ReportSettings(directory=tmp_path / "a" / "report"))
    before = os.umask(0o077)
    try:
        path = place.write(b"<html>")
    finally:
        os.umask(before)
    assert path == str(tmp_path / "a" / "report" / "index.html")
    assert Path(path).read_bytes() == b"<html>"
    assert Path(path).stat().st_mode & 0o777 == 0o644
    assert Path(path).parent.stat().st_mode & 0o777 == 0o755


def test_without_a_setting_it_is_in_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_DATA_DIR", str(tmp_path))
    assert ReportSettings().root == tmp_path / "report"


def test_a_directory_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    ReportFile(tmp_path / "index.html").write(b"1")
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_whoever_reads_sees_the_old_page_or_the_new_one_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ReportFile(tmp_path / "index.html")
    place.write(b"old" * 1000)
    seen: list[bytes] = []

    def looked(source: str, target: Path) -> None:
        seen.append(Path(target).read_bytes())
        os.rename(source, target)

    with (tmp_path / "index.html").open("rb") as reader:
        monkeypatch.setattr(os, "replace", looked)
        place.write(b"new")
        assert reader.read() == b"old" * 1000
    assert seen == [b"old" * 1000]
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_full_disk_is_said_and_leaves_the_last_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ReportFile(tmp_path / "index.html")
    place.write(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        DependencyUnavailable, match=r"status page: no room for it in .* Fix: make room there"
    ):
        place.write(b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("index.html", b"old")]


def test_a_place_that_cannot_be_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        Misconfigured, match=r"AEGIS_REPORT_DIR: the page .* cannot be written: .* Fix: make it"
    ):
        ReportFile(tmp_path / "file" / "index.html").write(b"x")
    (tmp_path / "index.html").mkdir()
    with pytest.raises(Misconfigured, match="--output: the page"):
        ReportFile(tmp_path / "index.html", "--output").write(b"x")
