"""What matters, what belongs together, what lessons cover, what goes on; and the texts that say so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aegis_lib.anomaly import messages, policy
from aegis_lib.anomaly.model import STEP, AnomalyConfig, Group, Lesson, Point, Series, Unusual
from aegis_lib.metrics.model import METRICS, Family, Kind
from aegis_lib.metrics.words import of_series, shown
from tests.fakes.anomalies import HOST_CPU, NOON, SHOP, WEB_CPU, WEB_MEMORY, new_group, unusual

CALM = timedelta(minutes=30)
CONFIG = AnomalyConfig()
WEB_SENT = Series(kind=Kind.CONTAINER, host="local", subject="web", metric="network_sent_bytes_per_second")


def of(subject: str, metric: str = "cpu_cores", host: str = "local") -> Series:
    return Series(kind=Kind.CONTAINER, host=host, subject=subject, metric=metric)


def opened(*points: Unusual, number: int = 1, **changes: object) -> Group:
    made = {
        **new_group(*points).model_dump(), "id": number, "score": 0.9, "opened_at": points[0].at,
        "last_at": points[-1].at, **changes,
    }  # fmt: skip
    return Group(**made)


# --- series ---


def test_a_series_has_one_name() -> None:
    assert HOST_CPU.name == "host/local/cpu_ratio"
    assert WEB_MEMORY.name == "container/local/web/memory_bytes"
    assert SHOP.name == "site/shop/latency_ms"


def test_what_is_watched_by_default_exists_and_covers_every_kind() -> None:
    names = {
        Series(kind=kind, host="h", subject="" if kind is Kind.HOST else "s", metric=metric).name
        for kind, metrics in METRICS.items()
        for metric in metrics
    }
    used = {pattern for pattern in CONFIG.watch if any(policy._fits(name, [pattern]) for name in names)}
    assert used == set(CONFIG.watch)
    assert all(policy.watched(series, CONFIG) for series in (HOST_CPU, WEB_MEMORY, SHOP))
    assert not policy.watched(WEB_MEMORY, AnomalyConfig(ignore=("container/*/web/*",)))
    assert not policy.watched(of("web", "memory_ratio"), CONFIG)


def test_every_unit_has_a_smallest_change() -> None:
    for kind, metrics in METRICS.items():
        for metric in metrics:
            assert policy.smallest_change(Series(kind=kind, host="h", metric=metric), CONFIG) > 0


@pytest.mark.parametrize(
    ("series", "value", "expected", "matters"),
    [
        (HOST_CPU, 0.50, 0.30, True),
        (HOST_CPU, 0.004, 0.001, False),
        (WEB_MEMORY, 400e6, 300e6, True),
        (WEB_MEMORY, 310e6, 300e6, False),
        (WEB_MEMORY, 20_100e6, 20_000e6, False),  # a hundred megabytes, but a half percent
        (WEB_SENT, 6e6, 4e6, False),
        (WEB_SENT, 9e6, 4e6, True),
        (WEB_SENT, 1e6, 4e6, True),
        (WEB_SENT, 90e3, 4e3, False),
        (SHOP, 90, 20, True),
        (SHOP, 40, 20, False),
        (SHOP, 40, None, False),
    ],
)
def test_a_small_change_is_of_no_interest_however_unusual(
    series: Series, value: float, expected: float | None, matters: bool
) -> None:
    assert policy.matters(series, value, expected, CONFIG) is matters


def test_what_matters_can_be_set_by_metric() -> None:
    picky = AnomalyConfig(smallest_changes={"latency_ms": 5})
    assert policy.matters(SHOP, 40, 20, picky)


def test_only_complete_stretches_are_judged() -> None:
    assert policy.complete_until(NOON + timedelta(seconds=29)) == NOON - STEP
    assert policy.complete_until(NOON + timedelta(seconds=30)) == NOON


@pytest.mark.parametrize(
    ("image", "found"), [("nginx:1@aaaa", "aaaa"), ("@aaaa", "aaaa"), ("nginx", "nginx"), (None, "")]
)
def test_a_deployment_is_told_by_the_image_and_not_by_its_name(image: str | None, found: str) -> None:
    assert policy.deployment(image) == found


# --- grouping ---


def test_what_one_container_does_is_one_group() -> None:
    (placed,) = policy.placed([unusual(), unusual(WEB_CPU, value=2.0, expected=0.5, deviation=5)], [], CALM)
    assert placed.new is not None
    assert (placed.new.cause, placed.new.subjects) == ("memory", ("web",))
    assert placed.new.families == (Family.CPU, Family.MEMORY)
    assert placed.new.title == "web on local: memory in use, more than usual"


def test_a_container_and_its_host_are_one_group_and_the_container_is_the_cause() -> None:
    host = unusual(HOST_CPU, value=0.95, expected=0.2, score=1.0)
    (placed,) = policy.placed([host, unusual(WEB_CPU, value=2.0, expected=0.5, score=0.7)], [], CALM)
    assert placed.new is not None
    assert placed.new.title.startswith("web on local: CPU in use")


def test_two_things_on_one_host_are_two_groups_and_two_hosts_are_too() -> None:
    memory, disk = unusual(), unusual(of("db", "disk_written_bytes_per_second"))
    away = unusual(of("web", "memory_bytes", host="nas"))
    placed = policy.placed([memory, disk, away], [], CALM)
    assert sorted((p.new.host, p.new.cause) for p in placed if p.new) == [
        ("local", "disk"), ("local", "memory"), ("nas", "memory"),
    ]  # fmt: skip


def test_many_containers_at_once_are_one_group_of_the_host() -> None:
    metrics = ("cpu_cores", "memory_bytes", "disk_written_bytes_per_second", "processes")
    points = [unusual(of(f"c{n}", metric)) for n, metric in enumerate(metrics)]
    (placed,) = policy.placed(points, [], CALM)
    assert placed.new is not None
    assert (placed.new.cause, placed.new.title) == ("host", "4 things at once on local")
    (later,) = policy.placed(
        [unusual(of("c9", "processes"), NOON + STEP)], [opened(*points, cause="host")], CALM
    )
    assert later.group == 1


def test_points_join_the_open_group_of_their_container_first_then_of_their_resource() -> None:
    web = opened(unusual(WEB_CPU), number=1)
    db = opened(unusual(of("db", "memory_bytes")), number=2)
    found = [unusual(WEB_MEMORY, NOON + STEP), unusual(of("cache", "memory_bytes"), NOON + STEP)]
    placed = {p.group: [q.series.subject for q in p.points] for p in policy.placed(found, [web, db], CALM)}
    assert placed == {1: ["web"], 2: ["cache"]}


def test_a_group_of_hours_ago_is_not_joined() -> None:
    old = opened(unusual(WEB_CPU))
    late = unusual(WEB_CPU, NOON + CALM + 2 * STEP)
    assert [p.group for p in policy.placed([late], [old], CALM)] == [None]


def test_what_only_goes_on_opens_nothing() -> None:
    assert policy.placed([unusual(opens=False)], [], CALM) == []
    other = opened(unusual(of("db", "memory_bytes")))
    assert policy.placed([unusual(opens=False)], [other], CALM) == []
    assert policy.placed([unusual(opens=False)], [opened(unusual())], CALM)[0].group == 1


def test_a_group_is_calm_when_nothing_was_unusual_for_long_enough() -> None:
    group = opened(unusual())
    assert not policy.is_calm(group, NOON + STEP + CALM - timedelta(seconds=1), CALM)
    assert policy.is_calm(group, NOON + STEP + CALM, CALM)


# --- going on ---


def later(minutes: float, value: float) -> Point:
    return Point(NOON + timedelta(minutes=minutes), value)


def test_what_is_not_back_goes_on() -> None:
    found = policy.still(unusual(), later(60, 550e6), CONFIG)
    assert found is not None
    assert (found.value, found.opens, found.deviation) == (550e6, False, 12.5)


@pytest.mark.parametrize(
    "point", [later(60, 310e6), later(60, 100e6), later(360, 800e6), later(0, 800e6), later(60, 325e6)]
)
def test_what_is_back_or_has_become_usual_does_not_go_on(point: Point) -> None:
    assert policy.still(unusual(), point, CONFIG) is None


def test_what_fell_goes_on_while_it_is_low() -> None:
    fell = unusual(value=10e6, deviation=-20.0)
    assert policy.still(fell, later(5, 20e6), CONFIG) is not None
    assert policy.still(fell, later(5, 500e6), CONFIG) is None


# --- lessons ---


@pytest.mark.parametrize(
    ("value", "covered"), [(500e6, True), (800e6, True), (879e6, True), (881e6, False), (5e9, False)]
)
def test_a_lesson_covers_as_much_and_a_tenth_more(value: float, covered: bool) -> None:
    lesson = Lesson(series=WEB_MEMORY.name, above=True, value=800e6, expires_at=NOON + CALM)
    assert policy.covered(unusual(value=value), [lesson], NOON) is covered


def test_a_lesson_covers_its_series_its_side_and_its_time_only() -> None:
    lesson = Lesson(series=WEB_MEMORY.name, above=True, value=800e6, expires_at=NOON + CALM)
    assert not policy.covered(unusual(WEB_CPU, value=1.0, expected=0.1), [lesson], NOON)
    assert not policy.covered(unusual(value=10e6), [lesson], NOON)
    assert not policy.covered(unusual(), [lesson], NOON + CALM)
    below = lesson.model_copy(update={"above": False, "value": 10e6})
    assert policy.covered(unusual(value=9.5e6), [below], NOON)
    assert not policy.covered(unusual(value=5e6), [below], NOON)


# --- texts ---


def history(value: float = 300e6) -> list[Point]:
    past = [Point(NOON - n * STEP, value + n) for n in range(1, 150)]
    return [*past, Point(NOON, 800e6), Point(NOON - timedelta(days=1), 305e6)]


def test_an_alert_has_the_numbers_the_course_and_what_to_do() -> None:
    group = opened(unusual(), number=12)
    found = messages.found(group, [unusual(), unusual(at=NOON + STEP, value=700e6, deviation=20)],
                           {WEB_MEMORY.name: history()})  # fmt: skip
    assert found.title == "Unusual: web on local: memory in use, more than usual"
    for part in (
        "**web**, memory in use: 800 MB, expected 300 MB (usually 280 MB to 320 MB), 25 times",
        "At the same time a day ago 305 MB.",
        "▁█` 12 h to 12:05 UTC, 300 MB to 800 MB",
        "aegis anomalies dismiss 12",
    ):
        assert part in found.body
    assert "700 MB" not in found.body, "one line for each series"
    assert (found.problem, found.key) == ("anomaly:12", "anomaly:12:found")


def test_an_alert_names_the_first_series_and_counts_the_others() -> None:
    points = [unusual(of(f"c{n}")) for n in range(8)]
    body = messages.found(opened(*points), points, {}).body
    assert body.count("CPU in use") == messages.MOST_SERIES
    assert "And 3 more series." in body


def test_the_last_alert_of_the_budget_says_so() -> None:
    group = opened(unusual())
    assert "last of 4 alerts" in messages.found(group, [unusual()], {}, last_of_budget=4).body
    assert "last of" not in messages.found(group, [unusual()], {}).body


def test_names_from_outside_stay_harmless() -> None:
    evil = of("a`b*[x](http://evil.example)\n# c", "memory_bytes")
    found = messages.found(opened(unusual(evil)), [unusual(evil)], {})
    assert "\n# c" not in found.body
    assert "](http" not in found.body
    assert "\n" not in found.title


def test_the_end_says_how_it_ended() -> None:
    group = opened(unusual(), unusual(at=NOON + 11 * STEP))
    assert messages.over(group).body.startswith("As usual again after 1 h")
    long = group.model_copy(update={"last_at": NOON + policy.NEW_USUAL})
    assert "this is the new usual" in messages.over(long).body
    dismissed = group.model_copy(update={"dismissed_at": NOON, "dismissed_by": "ada"})
    assert messages.over(dismissed).body.startswith("Dismissed by ada after 1 h")


def test_a_gap_is_no_value_in_a_plot() -> None:
    points = {NOON: 1.0, NOON + 3 * STEP: 2.0}
    assert policy.regular(points, NOON, NOON + 4 * STEP) == [1.0, None, None, 2.0]


@pytest.mark.parametrize(
    ("value", "series", "text"),
    [
        (0.384, "host/local/cpu_ratio", "38.4 %"),
        (1.5, "container/local/web/cpu_cores", "1.5 cores"),
        (812e6, "container/local/web/memory_bytes", "812 MB"),
        (2300.0, "host/local/network_sent_bytes_per_second", "2.3 kB/s"),
        (180.0, "site/shop/latency_ms", "180 ms"),
        (80.0, "host/local/processes", "80"),
        (0.5, "host/local/network_errors_per_second", "0.5 a second"),
        (7.0, "planet/mars/air", "7"),
    ],
)
def test_numbers_are_written_with_their_unit(value: float, series: str, text: str) -> None:
    assert of_series(value, series) == text


def test_what_is_not_known_is_a_dash() -> None:
    assert shown(None, METRICS[Kind.HOST]["cpu_ratio"].unit) == "-"
