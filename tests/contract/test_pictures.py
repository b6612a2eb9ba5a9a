"""Files of images and the table of pictures: the fakes and the real things answer alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.adapters.picture_files import PictureFiles as RealFiles
from aegis_lib.db import database as db
from aegis_lib.pictures.model import NewPicture, Picture, Region, Says, SiteHistory
from aegis_lib.ports.pictures import PictureFiles, PictureStore
from tests.fakes.pictures import FakeFiles, FakePictures

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


# --- the table ---


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> PictureStore:
    if request.param == "fake":
        return FakePictures()
    opened: db.Database = request.getfixturevalue("database")
    return opened.pictures


def digest(letter: str) -> str:
    return letter * 64


def picture(site: str = "shop", hours: float = 0, **values: Any) -> NewPicture:
    given = {"file_digest": digest("a"), "width": 10, "height": 20, "bytes": 30, **values}
    if "problem" in given:
        given |= {"file_digest": None, "width": None, "height": None, "bytes": None}
    return NewPicture(site=site, taken_at=NOW + hours * HOUR, viewport="1280x800", conditions="c1", **given)


def ids(found: list[Picture]) -> list[int]:
    return [one.id for one in found]


def test_a_picture_comes_back_as_it_was_kept(store: PictureStore) -> None:
    first = store.keep(picture(is_reference=True))
    new = picture(
        thumbnail_digest=digest("b"), http_status=200, reference_id=first.id, changed_ratio=0.25,
        regions=(Region(x=1, y=2, width=3, height=4),), diff_digest=digest("c"),
        diff_thumbnail_digest=digest("d"), says=Says.CHANGED,
    )  # fmt: skip
    kept = store.keep(new)
    assert NewPicture(**kept.model_dump(exclude={"id", "told_at"})) == new
    assert store.find(kept.id) == kept
    assert store.find(kept.id + 1) is None


def test_a_failure_is_kept_without_an_image(store: PictureStore) -> None:
    kept = store.keep(picture(problem="no \x00 page"))
    assert (kept.file_digest, "page" in (kept.problem or "")) == (None, True)


def test_a_site_nobody_looked_at_has_no_history(store: PictureStore) -> None:
    assert store.histories(["shop"]) == {"shop": SiteHistory()}


def test_the_history_has_the_newest_reference_and_the_failures_since_the_last_good_picture(
    store: PictureStore,
) -> None:
    store.keep(picture(problem="before"))
    store.keep(picture(is_reference=True, hours=1))
    newest = store.keep(picture(is_reference=True, hours=2))
    store.keep(picture(hours=3))
    store.keep(picture(problem="one", hours=4))
    store.keep(picture("other", hours=9))
    found = store.histories(["shop", "other"])
    assert found["shop"] == SiteHistory(
        reference=newest, failures=1, told_failing=False, last_at=NOW + 4 * HOUR
    )
    assert found["other"].reference is None
    store.keep(picture(problem="two", says=Says.FAILING, hours=5))
    found = store.histories(["shop"])
    assert (found["shop"].failures, found["shop"].told_failing) == (2, True)
    store.keep(picture(hours=6))
    found = store.histories(["shop"])
    assert (found["shop"].failures, found["shop"].told_failing) == (0, False)


def test_what_is_to_be_told_is_told_once(store: PictureStore) -> None:
    store.keep(picture())
    one = store.keep(picture(says=Says.CHANGED))
    two = store.keep(picture(problem="x", says=Says.FAILING))
    assert ids(store.untold()) == [one.id, two.id]
    assert ids(store.untold(limit=1)) == [one.id]
    store.told(one.id, NOW + HOUR)
    store.told(one.id, NOW + 2 * HOUR)
    assert ids(store.untold()) == [two.id]
    found = store.find(one.id)
    assert found is not None
    assert found.told_at == NOW + HOUR


def test_pictures_are_listed_newest_first_and_the_latest_of_each_by_name(store: PictureStore) -> None:
    a1, b1 = store.keep(picture("a")), store.keep(picture("b", diff_digest=digest("d")))
    a2 = store.keep(picture("a", diff_digest=digest("d"), hours=1))
    a3 = store.keep(picture("a", hours=2))
    assert ids(store.newest(9)) == [a3.id, a2.id, b1.id, a1.id]
    assert ids(store.newest(2)) == [a3.id, a2.id]
    assert ids(store.newest(9, site="a")) == [a3.id, a2.id, a1.id]
    assert ids(store.newest(9, changed=True)) == [a2.id, b1.id]
    assert ids(store.newest(9, latest=True)) == [a3.id, b1.id]
    assert ids(store.newest(9, latest=True, changed=True)) == [a2.id, b1.id]
    assert ids(store.newest(9, latest=True, site="b")) == [b1.id]
    assert store.newest(9, latest=True, site="zzz") == []


def test_one_run_at_a_time(store: PictureStore) -> None:
    with store.exclusive() as held:
        assert held
    with store.exclusive() as held:
        assert held


def test_another_connection_waits_its_turn(database: db.Database, database_settings: Any) -> None:
    with db.connect(database_settings) as other:
        with database.pictures.exclusive() as mine, other.pictures.exclusive() as theirs:
            assert (mine, theirs) == (True, False)
        with other.pictures.exclusive() as theirs:
            assert theirs


def test_old_pictures_go_but_not_the_last_images_the_newest_reference_or_the_untold(
    store: PictureStore,
) -> None:
    old_reference = store.keep(picture(is_reference=True))
    reference = store.keep(picture(is_reference=True, reference_id=old_reference.id, hours=1))
    failure = store.keep(picture(problem="x", hours=2))
    middle = store.keep(picture(reference_id=reference.id, hours=3))
    untold = store.keep(picture(problem="y", says=Says.FAILING, hours=4))
    last = store.keep(picture(hours=5))
    young = store.keep(picture("other", hours=99))
    moment = NOW + 50 * HOUR
    assert store.delete_before(moment, 1, 2) == 2
    assert ids(store.newest(9)) == [young.id, last.id, untold.id, middle.id, reference.id]
    assert failure.id not in ids(store.newest(9))
    assert store.delete_before(moment, 1, 2) == 1
    assert store.delete_before(moment, 1, 2) == 0
    assert ids(store.newest(9)) == [young.id, last.id, untold.id, reference.id]
    kept = store.find(reference.id)
    assert kept is not None
    assert kept.reference_id is None, "what it was compared with is gone"
    assert store.delete_before(moment, 0, 9) == 1
    assert ids(store.newest(9)) == [young.id, untold.id, reference.id]


def test_a_file_is_mentioned_in_any_of_four_ways(store: PictureStore) -> None:
    names = ("file_digest", "thumbnail_digest", "diff_digest", "diff_thumbnail_digest")
    store.keep(picture(**{name: digest(str(n)) for n, name in enumerate(names, 1)}))
    assert store.unreferenced([digest(letter) for letter in "12345"]) == [digest("5")]
    assert store.unreferenced([]) == []


# --- the files ---


@dataclass
class Place:
    files: PictureFiles
    age: Callable[[str, timedelta], None]
    """Make a file look as old as that."""


@pytest.fixture(params=["fake", "disk"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "fake":
        fake = FakeFiles(datetime.now(UTC))
        yield Place(fake, lambda name, age: fake.put_at.update({name: fake.now - age}))
        return
    real = RealFiles(tmp_path / "not" / "there" / "yet")

    def age_of(name: str, age: timedelta) -> None:
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(real.path(name), (moment, moment))

    yield Place(real, age_of)


def test_an_image_is_kept_once_and_comes_back(place: Place) -> None:
    first, again, other = place.files.put(b"one"), place.files.put(b"one"), place.files.put(b"two")
    assert first == again != other
    assert (place.files.read(first), place.files.read(other)) == (b"one", b"two")
    assert place.files.read(digest("0")) is None


def test_only_digests_are_names(place: Place) -> None:
    for bad in ("../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "/", "a" * 64 + "\n"):
        with pytest.raises(ValueError):
            place.files.path(bad)


def test_old_images_are_found_and_removed_and_young_ones_are_not(place: Place) -> None:
    old, young, again = place.files.put(b"old"), place.files.put(b"young"), place.files.put(b"again")
    for name in (old, again):
        place.age(name, timedelta(days=9))
    place.files.put(b"again")
    before = datetime.now(UTC) - HOUR
    assert [name for some in place.files.kept(before) for name in some] == [old]
    removed = place.files.remove([old, young, again, digest("0")], before)
    assert (removed.files, removed.bytes, removed.problems) == (1, 3, ())
    assert [place.files.read(name) for name in (old, young, again)] == [None, b"young", b"again"]


def test_nothing_kept_is_nothing_found(place: Place) -> None:
    assert list(place.files.kept(datetime.now(UTC))) == []
