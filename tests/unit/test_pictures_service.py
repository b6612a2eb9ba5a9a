"""A run over the sites: what is compared with what, what is told once, what failures cost, what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from aegis_lib.alerts.model import Phase
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.outcome import Outcome
from aegis_lib.pictures import service
from aegis_lib.pictures.model import EVENT_TYPE, PictureRules, PicturesConfig, PicturesReport, Region
from aegis_lib.pictures.service import Studio
from aegis_lib.sites.model import Site
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory
from tests.fakes.pictures import FakeCamera, FakeFiles, FakePictures, studio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAUSE = timedelta(hours=6)
RULES = PictureRules(threshold=0.1)


class House:
    """A studio, and everything around it, over several runs."""

    def __init__(self, **pages: bytes | str | Sequence[bytes]) -> None:
        self.now = NOW
        self.studio: Studio = studio(pages, NOW)
        self.memory, self.notifier = FakeMemory(NOW), FakeNotifier()
        self.rules: dict[str, PictureRules] = dict.fromkeys(pages, RULES)
        self.ticks = iter(range(0, 10_000_000, 10))

    @property
    def camera(self) -> FakeCamera:
        return cast(FakeCamera, self.studio.camera)

    @property
    def store(self) -> FakePictures:
        return cast(FakePictures, self.studio.store)

    @property
    def files(self) -> FakeFiles:
        return cast(FakeFiles, self.studio.files)

    def sites(self) -> list[Site]:
        return [
            Site(name=name, url=f"https://{name}.example/", picture=rules)
            for name, rules in self.rules.items()
        ]

    def run(
        self,
        pages: Mapping[str, Any] | None = None,
        *,
        config: PicturesConfig | None = None,
        sites: Sequence[Site] | None = None,
        only: str | None = None,
    ) -> PicturesReport:
        self.camera.pages.update(pages or {})
        self.camera.asked.clear()
        self.now += PAUSE
        self.files.now = self.now
        return service.take_all(
            self.studio, self.memory, self.notifier, sites=self.sites() if sites is None else sites,
            config=config or PicturesConfig(), now=self.now, only=only, monotonic=lambda: next(self.ticks),
        )  # fmt: skip

    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]


def test_without_a_site_that_wants_pictures_nothing_is_opened() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.rules["shop"] = PictureRules(enabled=False)
    with pytest.raises(NotConfigured, match="picture"):
        house.run()
    assert house.camera.asked == []


def test_the_first_picture_is_the_reference_and_nobody_is_told() -> None:
    house = House(shop=b"aaaaaaaaaa")
    report = house.run()
    (row,) = house.store.rows
    assert (row.is_reference, row.changed_ratio, row.width, row.bytes) == (True, None, 10, 10)
    assert (report.taken, report.changed, report.outcome) == (1, (), Outcome.COMPLETED)
    assert house.notifier.sent == []
    assert house.memory.recorded == []


def test_a_changed_page_is_told_once_and_is_the_next_reference() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    report = house.run({"shop": b"aaaabbbbbb"})
    assert report.changed == ("shop",)
    assert house.titles() == ["shop looks different"]
    assert "60.0%" in house.notifier.sent[0].body
    assert [row.is_reference for row in house.store.rows] == [True, True]
    changed = house.store.rows[1]
    assert house.files.read(changed.diff_digest or "") == b"marked aaaabbbbbb"
    assert [episode.event_type for episode in house.memory.recorded] == [EVENT_TYPE]
    assert "60.0% of its picture changed" in house.memory.recorded[0].summary
    assert house.run().changed == ()
    assert len(house.notifier.sent) == 1


def test_small_changes_cannot_creep_by() -> None:
    house = House(shop=b"a" * 20)
    house.run()
    for n in (1, 2):
        assert house.run({"shop": b"b" * n + b"a" * (20 - n)}).changed == ()
    assert house.run({"shop": b"b" * 3 + b"a" * 17}).changed == ("shop",)
    assert [row.is_reference for row in house.store.rows] == [True, False, False, True]


def test_what_moves_by_itself_is_no_change() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    report = house.run({"shop": [b"aaaaabbbbb", b"aaaaaccccc"]})
    assert (report.changed, house.camera.asked) == ((), ["shop", "shop"])
    report = house.run({"shop": [b"xxxxxddddd", b"xxxxxeeeee"]})
    assert report.changed == ("shop",)
    assert [region.x for region in house.store.rows[-1].regions] == [0, 1, 2, 3, 4]


def test_without_confirmation_one_picture_is_enough() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.rules["shop"] = RULES.model_copy(update={"confirm": False})
    house.run()
    assert house.run({"shop": [b"aaaaabbbbb", b"aaaaaccccc"]}).changed == ("shop",)
    assert house.camera.asked == ["shop"]


def test_when_the_second_picture_fails_the_first_one_counts() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()

    class Once(FakeCamera):
        def _shot(self, subject: Any) -> Any:
            shot = super()._shot(subject)
            return shot if len(self.asked) == 1 else shot.model_copy(update={"image": b"", "problem": "gone"})

    house.studio = Studio(Once({"shop": b"bbbbbbbbbb"}), house.files, house.studio.darkroom, house.store)
    assert house.run().changed == ("shop",)


def test_what_the_rules_ignore_is_no_change() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.rules["shop"] = RULES.model_copy(update={"ignore_regions": (Region(x=4, y=0, width=6, height=1),)})
    house.run()
    assert house.run({"shop": b"aaaabbbbbb"}).changed == ()


def test_other_rules_or_another_browser_begin_anew() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    house.rules["shop"] = RULES.model_copy(update={"color_scheme": "dark"})
    assert house.run({"shop": b"bbbbbbbbbb"}).changed == ()
    house.camera.browser = "chromium 2"
    assert house.run({"shop": b"cccccccccc"}).changed == ()
    assert [row.is_reference for row in house.store.rows] == [True, True, True]
    house.rules["shop"] = house.rules["shop"].model_copy(update={"threshold": 0.2, "timeout_seconds": 9})
    assert house.run({"shop": b"dddddddddd"}).changed == ("shop",), "rules of comparing change no picture"


def test_a_lost_reference_file_makes_a_new_reference() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    house.files.held.clear()
    assert house.run({"shop": b"bbbbbbbbbb"}).changed == ()
    assert house.store.rows[-1].is_reference


def test_a_page_that_fails_costs_only_its_own_picture() -> None:
    house = House(shop="the page crashed", wiki=b"aaaaaaaaaa", blog=b"broken")
    report = house.run()
    assert (report.taken, report.failed, report.outcome) == (2, ("shop", "blog"), Outcome.DEGRADED)
    assert {row.site: row.problem for row in house.store.rows} == {
        "shop": "the page crashed", "wiki": None, "blog": "it is no image that can be read",
    }  # fmt: skip
    assert house.notifier.sent == []


def test_failures_in_a_row_are_told_once_and_so_is_their_end() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    for _ in range(4):
        house.run({"shop": "loading took longer than 45 s"})
    assert house.titles() == ["No picture of shop"]
    assert house.notifier.sent[0].problem == "picture:shop"
    house.run({"shop": b"aaaaaaaaaa"})
    assert house.titles()[1:] == ["Pictures of shop again"]
    assert (house.notifier.sent[1].phase, house.notifier.sent[1].problem) == (Phase.OVER, "picture:shop")
    house.run()
    assert len(house.notifier.sent) == 2
    assert [e.key for e in house.memory.recorded] == ["picture:failing:3", "picture:recovered:6"]


def test_a_page_that_comes_back_different_says_both() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    house.run({"shop": "down"})
    house.run()
    house.run({"shop": b"bbbbbbbbbb"})
    assert house.titles() == ["No picture of shop", "Pictures of shop again"]
    assert "looks different: 100.0%" in house.notifier.sent[1].body
    assert "100.0% of its picture changed" in house.memory.recorded[-1].summary


def test_one_failure_alone_is_not_told() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run({"shop": "down"})
    house.run({"shop": b"aaaaaaaaaa"})
    house.run({"shop": "down"})
    assert house.notifier.sent == []


def test_many_changes_at_once_make_one_message() -> None:
    house = House(**{f"site{n}": b"aaaaaaaaaa" for n in range(30)})
    house.run()
    house.run({f"site{n}": b"bbbbbbbbbb" for n in range(30)})
    assert house.titles() == ["30 sites look different"]
    assert "… and 10 more" in house.notifier.sent[0].body
    assert len(house.memory.recorded) == 30
    assert house.store.untold() == []


def test_what_could_not_be_told_is_told_by_the_next_run() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    house.notifier.broken = DependencyUnavailable("chat", "is away.")
    report = house.run({"shop": b"bbbbbbbbbb"})
    assert (report.outcome, report.changed) == (Outcome.DEGRADED, ("shop",))
    assert "not told" in report.summary
    house.notifier.broken = None
    house.run()
    assert house.titles() == ["shop looks different"]
    assert len(house.memory.recorded) == 1, "recorded by its key, once"


def test_who_waited_longest_is_first_and_time_runs_out_for_the_rest() -> None:
    house = House(a=b"aaaaaaaaaa", b=b"aaaaaaaaaa", c=b"aaaaaaaaaa")
    first = house.run(config=PicturesConfig(time_limit_seconds=25))
    assert (house.camera.asked, first.left, first.outcome) == (["a"], ("b", "c"), Outcome.DEGRADED)
    assert "2 left for the next run" in first.summary
    house.run()
    assert house.camera.asked == ["b", "c", "a"]


def test_one_site_alone_can_be_asked_for() -> None:
    house = House(a=b"aaaaaaaaaa", b=b"aaaaaaaaaa")
    house.run(only="b")
    assert house.camera.asked == ["b"]
    with pytest.raises(Misconfigured, match="'zzz'"):
        house.run(only="zzz")


def test_a_site_in_maintenance_is_left_alone() -> None:
    house = House(a=b"aaaaaaaaaa")
    window = MaintenanceWindow(start="00:00", end="23:59")
    report = house.run(sites=[site.model_copy(update={"maintenance": (window,)}) for site in house.sites()])
    assert (house.camera.asked, report.outcome) == ([], Outcome.COMPLETED)
    assert "maintenance" in report.summary


def test_a_second_run_at_the_same_time_does_nothing() -> None:
    house = House(a=b"aaaaaaaaaa")
    with house.store.exclusive() as held:
        assert held
        report = house.run()
    assert ("Another run" in report.summary, house.store.rows) == (True, [])


def test_a_full_disk_stops_the_run() -> None:
    house = House(a=b"aaaaaaaaaa")
    house.files.broken = DependencyUnavailable("disk", "is full.")
    with pytest.raises(DependencyUnavailable):
        house.run()
    assert house.store.rows == []
    assert not house.store.held


def test_old_pictures_are_forgotten_but_never_the_last_one_nor_the_reference() -> None:
    house = House(shop=b"aaaaaaaaaa", wiki=b"wwwwwwwwww")
    house.run()
    for n in range(1, 6):
        house.run({"shop": b"b" * (n % 2) + b"a" * (10 - n % 2)})
    late = house.now + timedelta(days=400)
    gone = service.forget_before(house.store, house.files, late, keep_last_per_site=2, batch=3)
    assert gone.pictures == 12 - 6
    shop = [row for row in house.store.rows if row.site == "shop"]
    assert [(row.id, row.is_reference) for row in shop] == [(1, True), (9, False), (11, False)]
    mentioned = {d for row in house.store.rows for d in (row.file_digest, row.thumbnail_digest)}
    assert set(house.files.held) == mentioned


def test_files_that_no_picture_mentions_go_once_they_are_old() -> None:
    house = House(shop=b"aaaaaaaaaa")
    house.run()
    left = house.files.put(b"of a run that died")
    assert service.forget_before(house.store, house.files, house.now).files == 0
    gone = service.forget_before(house.store, house.files, house.now + timedelta(days=1))
    assert (gone.files, gone.bytes, house.files.read(left)) == (1, 18, None)


def test_forgetting_stops_when_told_to() -> None:
    house = House(shop=b"aaaaaaaaaa")
    for _ in range(5):
        house.run()
    answers = iter([True, False, False])
    gone = service.forget_before(
        house.store, house.files, house.now + timedelta(days=9), batch=2, go_on=lambda: next(answers)
    )
    assert (gone.pictures, gone.files) == (2, 0)
