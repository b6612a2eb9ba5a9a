"""Images on the disk: whole or not there, nowhere else, and what a broken directory says."""

from __future__ import annotations

import errno
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_lib.adapters import picture_files
from aegis_lib.adapters.picture_files import PictureFiles
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import ScreenshotSettings

SOON = timedelta(seconds=5)


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_file_is_named_by_its_content_and_not_open_to_everybody(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    name = files.put(b"image")
    assert everything(tmp_path) == {".lock", f"{name[:2]}/{name}"}
    assert stat.S_IMODE(files.path(name).stat().st_mode) == 0o640
    assert files.path(name).parent.stat().st_mode & 0o007 == 0


def test_a_damaged_file_is_not_taken_for_the_image_and_is_written_again(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    name = files.put(b"image")
    files.path(name).write_bytes(b"torn")
    assert files.read(name) is None
    assert files.put(b"image") == name
    assert files.read(name) == b"image"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(picture_files.os, "fsync", full)
    files = PictureFiles(tmp_path)
    with pytest.raises(DependencyUnavailable, match=r"No space left.*make room"):
        files.put(b"image")
    assert everything(tmp_path) == {".lock"}


def test_a_directory_that_is_none_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = PictureFiles(tmp_path / "file")
    with pytest.raises(Misconfigured, match="AEGIS_SCREENSHOT_DIR"):
        files.put(b"image")


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured):
        PictureFiles(tmp_path).put(b"image")
    assert not (tmp_path / "elsewhere").exists()


def test_other_peoples_files_are_neither_listed_nor_removed(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    name = files.put(b"image")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / name[:2] / "notes.txt").write_text("mine")
    unfinished = tmp_path / name[:2] / ".new-abc"
    unfinished.write_text("of a run that died")
    later = datetime.now(UTC) + SOON
    assert list(files.kept(later)) == [[name]]
    assert not unfinished.exists()
    files.remove([name], later)
    assert everything(tmp_path) == {".lock", "notes.txt", f"{name[:2]}/notes.txt"}


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = PictureFiles(tmp_path)
    name = files.put(b"image")

    def refuse(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    removed = files.remove([name], datetime.now(UTC) + SOON)
    assert removed.files == 0
    assert "Permission denied" in removed.problems[0]


def test_what_is_put_while_old_files_are_removed_stays(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    contents = [f"image {n}".encode() for n in range(40)]
    names = [files.put(content) for content in contents]
    old = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    for name in names:
        os.utime(files.path(name), (old, old))
    before = datetime.now(UTC) - timedelta(hours=1)
    remover = threading.Thread(target=lambda: files.remove(names, before))
    remover.start()
    for content in contents:
        files.put(content)
    remover.join()
    assert [files.read(name) for name in names] == contents


def test_the_directory_is_the_installations_unless_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_DATA_DIR", str(tmp_path))
    assert ScreenshotSettings().root == tmp_path / "screenshots"
    monkeypatch.setenv("AEGIS_SCREENSHOT_DIR", str(tmp_path / "elsewhere"))
    assert ScreenshotSettings().root == tmp_path / "elsewhere"
    assert picture_files.opened().path("a" * 64) == tmp_path / "elsewhere" / "aa" / ("a" * 64)
