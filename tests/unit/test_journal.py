"""The journal page: our part between markers, everything else people's."""

from __future__ import annotations

import os
import stat
from datetime import date
from pathlib import Path

import pytest

from aegis_lib.adapters import journal
from aegis_lib.adapters.journal import FileJournal
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import JournalSettings

DAY = date(2026, 1, 25)
ONE, TWO = "digest 2026-01-25T22:00:00+00:00", "digest 2026-01-25T23:30:00+00:00"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "2026-01-25.md"


@pytest.fixture
def pages(tmp_path: Path) -> FileJournal:
    return FileJournal(tmp_path)


def block(section: str, body: str) -> str:
    return f"<!-- aegis {section} begin {journal._hash(body)} -->\n{body}\n<!-- aegis {section} end -->\n"


def test_a_new_page_holds_the_section_between_its_markers(pages: FileJournal, page: Path) -> None:
    assert pages.write(DAY, ONE, "## Digest\n\nAll well — très bien\n") == str(page)
    assert page.read_text() == block(ONE, "## Digest\n\nAll well — très bien")
    assert [p.name for p in page.parent.iterdir()] == [page.name], "no temporary file stays"


def test_the_directory_is_made(tmp_path: Path) -> None:
    FileJournal(tmp_path / "memory" / "journal").write(DAY, ONE, "x")
    assert (tmp_path / "memory" / "journal" / "2026-01-25.md").exists()


def test_writing_the_same_section_again_replaces_it_and_nothing_else(pages: FileJournal, page: Path) -> None:
    page.write_text("# My day\n\nwent well\n")
    pages.write(DAY, ONE, "first")
    with page.open("a") as file:
        file.write("\nafterthought\n")
    pages.write(DAY, ONE, "second")
    assert page.read_text() == f"# My day\n\nwent well\n\n{block(ONE, 'second')}\nafterthought\n"


def test_several_digests_of_one_day_stand_below_each_other(pages: FileJournal, page: Path) -> None:
    pages.write(DAY, ONE, "one")
    pages.write(DAY, TWO, "two")
    pages.write(DAY, ONE, "one again")
    assert page.read_text() == f"{block(ONE, 'one again')}\n{block(TWO, 'two')}"


def test_the_same_text_twice_leaves_the_file_untouched(pages: FileJournal, page: Path) -> None:
    pages.write(DAY, ONE, "one")
    before = page.stat()
    pages.write(DAY, ONE, "one")
    assert page.stat().st_ino == before.st_ino


def test_what_a_person_wrote_into_our_section_stays(pages: FileJournal, page: Path) -> None:
    pages.write(DAY, ONE, "ours\nall")
    edited = page.read_text().replace("ours", "ours, and mine")
    page.write_text(edited)
    assert pages.write(DAY, ONE, "newer") == str(page)
    assert page.read_text() == edited


@pytest.mark.parametrize("marker", ["begin", "end"])
def test_a_person_who_removed_a_marker_loses_nothing(pages: FileJournal, page: Path, marker: str) -> None:
    pages.write(DAY, ONE, "ours")
    kept = "".join(line for line in page.read_text().splitlines(True) if f"00:00 {marker}" not in line)
    page.write_text(kept)
    pages.write(DAY, ONE, "newer")
    assert page.read_text() == f"{kept}\n{block(ONE, 'newer')}"


def test_a_page_without_a_last_line_end_is_continued_on_a_line_of_its_own(
    pages: FileJournal, page: Path
) -> None:
    page.write_text("my last word")
    pages.write(DAY, ONE, "ours")
    assert page.read_text() == f"my last word\n\n{block(ONE, 'ours')}"


def test_windows_line_ends_and_byte_order_mark_stay(pages: FileJournal, page: Path) -> None:
    page.write_bytes("\ufeff# Tag\r\n\r\nläuft\r\n".encode())
    pages.write(DAY, ONE, "eins\nzwei")
    pages.write(DAY, ONE, "drei\nvier")
    written = page.read_bytes()
    assert written.startswith("\ufeff# Tag\r\n\r\nläuft\r\n\r\n".encode())
    assert written.count(b"\n") == written.count(b"\r\n") == 8
    assert b"drei\r\nvier\r\n" in written
    assert b"eins" not in written


def test_a_page_that_is_only_a_byte_order_mark_keeps_it(pages: FileJournal, page: Path) -> None:
    page.write_bytes(b"\xef\xbb\xbf")
    pages.write(DAY, ONE, "x")
    assert page.read_bytes() == b"\xef\xbb\xbf" + block(ONE, "x").encode()


@pytest.mark.parametrize(
    "foreign", ["läuft".encode("latin-1"), "# läuft\n".encode("utf-16"), "x\n".encode("utf-16-le")]
)
def test_a_page_that_is_not_utf8_is_left_alone_and_ours_stands_beside_it(
    pages: FileJournal, page: Path, foreign: bytes
) -> None:
    page.write_bytes(foreign)
    beside = pages.write(DAY, ONE, "ours")
    assert page.read_bytes() == foreign
    assert beside == str(page.with_name("2026-01-25.aegis.md"))
    assert Path(beside).read_text() == block(ONE, "ours")


def test_two_foreign_pages_are_an_error_that_names_the_page(pages: FileJournal, page: Path) -> None:
    for name in ("2026-01-25.md", "2026-01-25.aegis.md"):
        (page.parent / name).write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match=r"AEGIS_JOURNAL_DIR.*save 2026-01-25.md as UTF-8"):
        pages.write(DAY, ONE, "ours")


def test_a_linked_page_stays_a_link(pages: FileJournal, page: Path) -> None:
    real = page.parent / "elsewhere" / "notes.md"
    real.parent.mkdir()
    real.write_text("notes\n")
    page.symlink_to(real)
    pages.write(DAY, ONE, "ours")
    assert page.is_symlink()
    assert real.read_text() == f"notes\n\n{block(ONE, 'ours')}"


def test_the_mode_of_the_page_stays(pages: FileJournal, page: Path) -> None:
    page.write_text("private\n")
    page.chmod(0o600)
    pages.write(DAY, ONE, "ours")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_a_new_page_has_the_mode_that_the_umask_asks_for(pages: FileJournal, page: Path) -> None:
    before = os.umask(0o027)
    try:
        pages.write(DAY, ONE, "ours")
    finally:
        os.umask(before)
    assert stat.S_IMODE(page.stat().st_mode) == 0o640


def test_a_page_that_changes_while_we_write_is_read_again(
    pages: FileJournal, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.write_text("before\n")
    typed = iter(["meanwhile\n"])
    real = journal._keep_access

    def type_meanwhile(where: Path, descriptor: int) -> None:
        with where.open("a") as file:
            file.write(next(typed, ""))
        real(where, descriptor)

    monkeypatch.setattr(journal, "_keep_access", type_meanwhile)
    pages.write(DAY, ONE, "ours")
    assert page.read_text() == f"before\nmeanwhile\n\n{block(ONE, 'ours')}"
    assert [p.name for p in page.parent.iterdir()] == [page.name]


def test_a_page_that_never_rests_is_tried_again_later(
    pages: FileJournal, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def type_on(where: Path, descriptor: int) -> None:
        with where.open("a") as file:
            file.write("more\n")

    monkeypatch.setattr(journal, "_keep_access", type_on)
    with pytest.raises(DependencyUnavailable, match="keeps changing"):
        pages.write(DAY, ONE, "ours")
    assert set(page.read_text().splitlines()) == {"more"}


def test_a_directory_in_the_place_of_the_page_is_said(pages: FileJournal, page: Path) -> None:
    page.mkdir()
    with pytest.raises(Misconfigured, match=r"AEGIS_JOURNAL_DIR: .* cannot be written: Is a directory"):
        pages.write(DAY, ONE, "ours")


def test_a_file_in_the_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    with pytest.raises(Misconfigured, match=r"AEGIS_JOURNAL_DIR: .* cannot be written"):
        FileJournal(tmp_path / "journal").write(DAY, ONE, "ours")


@pytest.mark.parametrize("section", ["a--b", "tab\t", "é", "line\n"])
def test_a_name_that_could_break_the_markers_is_refused(pages: FileJournal, section: str) -> None:
    with pytest.raises(ValueError, match="cannot name a section"):
        pages.write(DAY, section, "x")


def test_the_directory_may_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    journal.connect(JournalSettings()).write(DAY, ONE, "x")
    assert (tmp_path / "memory" / "journal" / "2026-01-25.md").exists()


def test_a_user_without_a_home_is_told_to_name_the_path() -> None:
    settings = JournalSettings(directory=Path("~nobody-of-this-name/journal"))
    with pytest.raises(Misconfigured, match=r"AEGIS_JOURNAL_DIR.*no home"):
        journal.connect(settings)
