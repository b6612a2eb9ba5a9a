"""The made-up mailbox, and how the bench reads labelled mail and counts."""

from __future__ import annotations

import mailbox
import re
from collections import Counter
from pathlib import Path

import pytest

from aegis_lib.mail.model import Category
from tests import mail_corpus, mail_quality

RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:org|net|com))?|invalid|test|localhost)$")


@pytest.fixture(scope="module")
def letters() -> list[mail_corpus.Letter]:
    return mail_corpus.generate()


def test_it_is_large_and_of_many_kinds(letters: list[mail_corpus.Letter]) -> None:
    assert len(letters) >= 500
    assert {letter.category for letter in letters} == set(Category)
    assert len({letter.kind for letter in letters}) >= 60
    assert len({letter.language for letter in letters}) >= 10
    assert len({letter.raw for letter in letters}) == len(letters)
    assert min(Counter(letter.category for letter in letters).values()) >= 30


def test_the_same_seed_makes_the_same_bytes(letters: list[mail_corpus.Letter]) -> None:
    assert mail_corpus.generate() == letters
    assert mail_corpus.generate(seed=8) != letters


def test_it_is_in_order_of_time(letters: list[mail_corpus.Letter]) -> None:
    assert [letter.received_at for letter in letters] == sorted(letter.received_at for letter in letters)


def test_no_host_in_it_can_exist(letters: list[mail_corpus.Letter]) -> None:
    hosts = set()
    for letter in letters:
        one = mail_quality.labelled(letter.raw, "ham", letter.received_at).mail
        hosts.add(one.from_email.rpartition("@")[2])
        hosts |= set(re.findall(r"https?://([a-z][a-z0-9.-]*[a-z])", one.text))
    assert len(hosts) > 20
    assert not {host for host in hosts if not RESERVED.search(host)}


def test_most_of_it_is_sorted_right_on_the_first_day_and_what_is_decided_later_too(
    letters: list[mail_corpus.Letter],
) -> None:
    found = mail_quality.judge(
        (mail_quality.labelled(one.raw, one.category.value, one.received_at) for one in letters),
        mail_corpus.RULES,
        mail_corpus.KNOWN,
    )
    assert found.mails == len(letters)
    assert found.alone_share > 0.75
    assert (found.alone_right or 0) > 0.97
    assert all((found.recall(category.value) or 0) > 0.7 for category in Category)
    assert all((found.precision(category.value) or 0) > 0.85 for category in Category)
    lam, _, _ = found.junk_percent()
    assert lam < 3


# --- labelled mail of other origins ---

HAM = b"From: a@birch.example\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\nSubject: boat\r\n\r\nThe boat.\r\n"
SPAM = b"From: b@evil.example\r\nDate: Thu, 1 Jan 2026 09:00:00 +0000\r\nSubject: win\r\n\r\nWin now.\r\n"


def pairs(folder: Path, limit: int | None = None) -> list[tuple[str, str]]:
    return [(one.label, one.mail.subject) for one in mail_quality.read(folder, limit)]


def test_it_reads_folders_of_single_files(tmp_path: Path) -> None:
    for name, raw in (("easy_ham", HAM), ("spam_2", SPAM)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00001.abc").write_bytes(raw)
        (tmp_path / name / "cmds").write_text("mv x y")
    assert pairs(tmp_path) == [("spam", "win"), ("ham", "boat")]  # by date
    assert pairs(tmp_path, 1) == [("spam", "win")]


def test_it_reads_the_index_of_trec(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "data" / "inmail.1").write_bytes(HAM)
    (tmp_path / "data" / "inmail.2").write_bytes(SPAM)
    (tmp_path / "full" / "index").write_text("ham ../data/inmail.1\nspam ../data/inmail.2\n")
    assert pairs(tmp_path) == [("ham", "boat"), ("spam", "win")]  # as the index has it
    assert pairs(tmp_path / "full" / "index") == pairs(tmp_path)


def test_it_reads_maildirs_and_mbox_files(tmp_path: Path) -> None:
    mailbox.Maildir(tmp_path / "urgent", create=True).add(HAM)
    box = mailbox.mbox(tmp_path / "promotional.mbox")
    box.add(SPAM)
    box.close()
    assert pairs(tmp_path) == [("promotional", "win"), ("urgent", "boat")]


def test_a_mailbox_that_was_written_is_read_back(tmp_path: Path) -> None:
    some = mail_corpus.generate(40)
    mail_corpus.write(tmp_path, some)
    found = Counter(one.label for one in mail_quality.read(tmp_path))
    assert found == Counter(letter.category.value for letter in some)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    with pytest.raises(SystemExit, match="no labelled mail"):
        pairs(tmp_path)


# --- figures ---


@pytest.mark.parametrize(
    ("scores", "percent"),
    [
        ([(0.1, False), (0.9, True)], 0.0),
        ([(0.9, False), (0.1, True)], 100.0),
        ([(0.5, False), (0.5, True)], 50.0),
        ([(0.1, False), (0.2, False), (0.15, True), (0.9, True)], 25.0),
        ([(0.1, False)], None),
    ],
)
def test_the_area_above_the_roc_curve(scores: list[tuple[float, bool]], percent: float | None) -> None:
    assert mail_quality.one_minus_roca(scores) == percent


def test_logistic_average_misclassification() -> None:
    """Halves are added; 1 of 99 hams and 9 of 99 spams on the wrong side."""
    found = [(number < 1, False) for number in range(99)] + [(number >= 9, True) for number in range(99)]
    lam, hm, sm = mail_quality.lam(found)
    assert (hm, sm) == pytest.approx((1.5, 9.5))
    assert lam == pytest.approx(3.8437, abs=0.001)
    assert mail_quality.lam([(False, False), (True, True)])[0] == pytest.approx(25.0)


def test_precision_and_recall() -> None:
    quality = mail_quality.Quality()
    quality.given.update(
        {("spam", "spam"): 8, ("spam", "informational"): 2, ("ham", "spam"): 2, ("ham", "urgent"): 88}
    )
    assert quality.precision("spam") == 0.8
    assert quality.recall("spam") == 0.8
    assert quality.precision("ham") == pytest.approx(88 / 90)
    assert quality.recall("ham") == pytest.approx(88 / 90)
    assert quality.recall("promotional") is None
