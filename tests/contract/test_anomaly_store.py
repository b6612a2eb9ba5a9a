"""The same promises from the fake and from a real PostgreSQL: states, groups, claims, lessons."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from aegis_lib.anomaly.model import STEP, Held, Point, SeriesState
from aegis_lib.db.database import Database
from aegis_lib.metrics.model import ContainerSample, EngineReading, Family, HostSample
from aegis_lib.ports.anomaly import AnomalyStore
from tests.fakes.anomalies import (
    HOST_CPU,
    NOON,
    SHOP,
    WEB_CPU,
    WEB_MEMORY,
    FakeAnomalies,
    new_group,
    unusual,
)
from tests.fakes.metrics import host_reading

LEASE = timedelta(minutes=4)
DAY = timedelta(days=1)


@pytest.fixture(params=["fake", "real"])
def store(request: pytest.FixtureRequest) -> AnomalyStore:
    if request.param == "fake":
        return FakeAnomalies()
    return request.getfixturevalue("database").anomalies  # type: ignore[no-any-return]


def state(minutes: int = 0, **changes: Any) -> SeriesState:
    fields: dict[str, Any] = {
        "series": WEB_MEMORY, "deployment": "aaaa", "state": {"mean": 1.5, "name": "w\u00e9b"},
        "seen_until": NOON + timedelta(minutes=minutes), "points": 7, "warming_up": False,
    }  # fmt: skip
    return SeriesState(**{**fields, **changes})


def test_what_a_detector_remembers_comes_back_as_it_was(store: AnomalyStore) -> None:
    assert store.states([WEB_MEMORY]) == {}
    assert store.save([(state(), None)]) == {WEB_MEMORY.name}
    assert store.states([WEB_MEMORY, WEB_CPU]) == {WEB_MEMORY.name: state()}
    assert store.save([]) == frozenset()


def test_a_series_that_another_process_judged_meanwhile_is_left_alone(store: AnomalyStore) -> None:
    store.save([(state(), None)])
    assert store.save([(state(5), None)]) == frozenset()
    assert store.save([(state(5), NOON), (state(series=WEB_CPU), None)]) == {WEB_MEMORY.name, WEB_CPU.name}
    assert store.save([(state(10), NOON)]) == frozenset()
    assert store.states([WEB_MEMORY])[WEB_MEMORY.name].seen_until == NOON + timedelta(minutes=5)


def test_what_is_no_number_is_never_remembered(store: AnomalyStore) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.save([(state(state={"mean": math.nan}), None)])


def test_series_of_which_nothing_is_measured_are_forgotten(store: AnomalyStore) -> None:
    store.save([(state(), None), (state(60, series=WEB_CPU, warming_up=True), None)])
    assert store.warming_up() == 1
    assert store.forget_series(NOON + timedelta(minutes=1)) == 1
    assert set(store.states([WEB_MEMORY, WEB_CPU])) == {WEB_CPU.name}


def test_a_group_keeps_its_points_and_grows(store: AnomalyStore) -> None:
    first = unusual()
    number = store.open_group(new_group(first), [first])
    later = unusual(WEB_CPU, NOON + STEP, score=0.95, value=1.5, expected=0.5, low=0.3, high=0.6)
    store.extend_group(number, [later, first])
    (group,) = store.open_groups()
    assert (group.id, group.host, group.cause, group.subjects) == (number, "local", "memory", ("web",))
    assert group.families == (Family.CPU, Family.MEMORY)
    assert (group.opened_at, group.last_at, group.score) == (NOON, NOON + STEP, 0.95)
    assert [(p.series.name, p.at, p.value) for p in store.points_of(number)] == [
        (WEB_MEMORY.name, NOON, 800e6), (WEB_CPU.name, NOON + STEP, 1.5),
    ]  # fmt: skip
    assert store.points_of(number)[0] == first


def test_the_first_points_of_open_groups_are_told_apart_by_series(store: AnomalyStore) -> None:
    points = [unusual(), unusual(at=NOON + STEP), unusual(HOST_CPU, value=0.9, expected=0.2)]
    number = store.open_group(new_group(*points), points)
    assert [(p.series, p.at) for p in store.open_points()] == [(WEB_MEMORY, NOON), (HOST_CPU, NOON)]
    (group,) = store.open_groups()
    assert store.close_group(group, NOON + DAY)
    assert store.open_points() == []
    assert len(store.points_of(number)) == 3


def test_of_one_host_and_cause_there_is_one_open_group(store: AnomalyStore) -> None:
    first, second = unusual(), unusual(at=NOON + STEP)
    number = store.open_group(new_group(first), [first])
    assert store.open_group(new_group(second), [second]) == number
    assert len(store.points_of(number)) == 2
    (group,) = store.open_groups()
    assert store.close_group(group, NOON + DAY)
    assert store.open_group(new_group(unusual(at=NOON + DAY)), [unusual(at=NOON + DAY)]) != number


def test_a_group_that_grew_meanwhile_is_not_closed(store: AnomalyStore) -> None:
    number = store.open_group(new_group(unusual()), [unusual()])
    (group,) = store.open_groups()
    store.extend_group(number, [unusual(at=NOON + STEP)])
    assert not store.close_group(group, NOON + DAY)
    (group,) = store.open_groups()
    assert store.close_group(group, NOON + DAY)
    assert not store.close_group(group, NOON + DAY)


def test_what_lessons_cover_is_held_until_there_is_news(store: AnomalyStore) -> None:
    known = unusual(known=True)
    number = store.open_group(new_group(known), [known])
    assert store.open_groups()[0].held is Held.LESSON
    store.extend_group(number, [unusual(at=NOON + STEP, known=True)])
    assert store.open_groups()[0].held is Held.LESSON
    store.extend_group(number, [unusual(at=NOON + 2 * STEP)])
    assert store.open_groups()[0].held is None


def test_a_group_is_told_once_and_its_end_once(store: AnomalyStore) -> None:
    store.open_group(new_group(unusual()), [unusual()])
    (group,) = store.open_groups()
    assert store.claim_alert(group, NOON, 4, NOON - DAY, LEASE)
    assert not store.claim_alert(group, NOON + timedelta(minutes=1), 4, NOON - DAY, LEASE)
    assert store.ended_untold() == []
    store.alerted(group, NOON)
    assert not store.claim_alert(group, NOON + DAY, 4, NOON - DAY, LEASE)
    assert store.close_group(group, NOON + DAY)
    (ended,) = store.ended_untold()
    assert store.claim_end(ended, NOON + DAY, LEASE)
    assert not store.claim_end(ended, NOON + DAY, LEASE)
    store.end_told(ended, NOON + DAY)
    assert store.ended_untold() == []
    assert not store.claim_end(ended, NOON + 2 * DAY, LEASE)


def test_a_claim_of_a_process_that_died_is_taken_over(store: AnomalyStore) -> None:
    store.open_group(new_group(unusual()), [unusual()])
    (group,) = store.open_groups()
    assert store.claim_alert(group, NOON, 1, NOON - DAY, LEASE)
    assert not store.claim_alert(group, NOON + LEASE / 2, 1, NOON - DAY, LEASE)
    assert store.claim_alert(group, NOON + LEASE, 1, NOON - DAY, LEASE)
    store.release(group)
    assert store.claim_alert(group, NOON + LEASE, 1, NOON - DAY, LEASE)


def test_the_budget_is_kept_by_the_claim(store: AnomalyStore) -> None:
    for series in (WEB_MEMORY, WEB_CPU, SHOP):
        store.open_group(new_group(unusual(series)), [unusual(series)])
    one, two, three = store.open_groups()
    assert store.claim_alert(one, NOON, 2, NOON - DAY, LEASE)
    store.alerted(one, NOON)
    assert store.claim_alert(two, NOON, 2, NOON - DAY, LEASE)
    assert store.alerts_since(NOON - DAY) == 2
    assert not store.claim_alert(three, NOON, 2, NOON - DAY, LEASE)
    assert store.hold(three, Held.BUDGET)
    assert not store.hold(three, Held.BUDGET)
    assert not store.hold(one, Held.BUDGET)
    assert store.claim_alert(three, NOON + DAY, 2, NOON, LEASE)
    assert store.open_groups()[2].held is None


# --- only the database ---


def test_series_are_means_of_five_minutes_and_gaps_stay_gaps(database: Database) -> None:
    before = None
    for minute in (0, 1, 4, 5, 6, 15):
        at = NOON + timedelta(minutes=minute)
        reading = host_reading(at)
        sample = HostSample(host="local", at=at, cpu_ratio=0.1 * minute, load_1m=None)
        database.metrics.keep_host(before, reading, sample)
        before = reading
    found = database.anomalies.points(NOON, NOON + timedelta(minutes=15))
    assert [(p.at, round(p.value, 6)) for p in found[HOST_CPU]] == [
        (NOON, round(0.5 / 3, 6)), (NOON + STEP, 0.55),
    ]  # fmt: skip
    assert {series.metric for series in found} == {"cpu_ratio"}
    assert database.anomalies.earliest(NOON - DAY) == NOON
    assert database.anomalies.earliest(NOON + DAY) is None


def test_a_container_s_points_say_which_deployment_ran(database: Database) -> None:
    for minute, image in ((0, "web:1@aaaa"), (3, "web:2@bbbb"), (5, "web:2@bbbb")):
        at = NOON + timedelta(minutes=minute)
        before = database.metrics.engine_reading("local")
        samples = [
            ContainerSample(
                engine="local", name=name, at=at, container_id="x", image=image, memory_bytes=100 + minute
            )
            for name in ("web", "other")
        ]
        database.metrics.keep_engine(before, EngineReading(engine="local", taken_at=at), samples)
    points = [Point(NOON, 101.5, "bbbb"), Point(NOON + STEP, 105.0, "bbbb")]
    assert database.anomalies.points(NOON, NOON + DAY)[WEB_MEMORY] == points
    assert database.anomalies.history(WEB_MEMORY, NOON, NOON + DAY) == points
    assert database.anomalies.history(WEB_CPU, NOON, NOON + DAY) == []


def test_latencies_of_sites_are_series_too(database: Database) -> None:
    database.partitions.ensure("site_checks", NOON)
    database.connection.execute(
        "INSERT INTO site_checks (site, checked_at, ok, maintenance, latency_ms) VALUES"
        " ('shop', %(at)s, true, false, 120), ('shop', %(at)s + interval '1 min', true, false, 140),"
        " ('shop', %(at)s + interval '2 min', false, false, 9000),"
        " ('shop', %(at)s + interval '3 min', true, true, 5000)",
        {"at": NOON},
    )
    assert database.anomalies.points(NOON, NOON + DAY) == {SHOP: [Point(NOON, 130.0)]}


def test_a_damaged_state_is_an_empty_one(database: Database) -> None:
    database.anomalies.save([(state(), None)])
    database.connection.execute("UPDATE anomaly_series SET state = 'x'")
    assert database.anomalies.states([WEB_MEMORY])[WEB_MEMORY.name].state == {}


def test_dismissing_teaches_the_farthest_value_of_each_series_once(database: Database) -> None:
    points = [
        unusual(value=700e6),
        unusual(at=NOON + STEP, value=900e6),
        unusual(at=NOON + 2 * STEP, value=10e6),
        unusual(WEB_CPU, value=2.0, expected=0.5),
    ]
    number = database.anomalies.open_group(new_group(*points), points)
    said = {"by": "ada", "note": "backup\0", "now": NOON + DAY, "expires_at": NOON + 31 * DAY}
    assert database.anomalies.dismiss(number, **said) == 3
    assert database.anomalies.dismiss(number, **said) is None
    assert database.anomalies.dismiss(999, **said) is None
    group = database.anomalies.group(number)
    assert group is not None
    assert (group.dismissed_by, group.note, group.closed_at) == ("ada", "backup\ufffd", NOON + DAY)

    found = database.anomalies.lessons({WEB_MEMORY.name, WEB_CPU.name}, NOON + 2 * DAY)
    assert sorted((one.series, one.above, one.value) for one in found) == [
        (WEB_CPU.name, True, 2.0), (WEB_MEMORY.name, False, 10e6), (WEB_MEMORY.name, True, 900e6),
    ]  # fmt: skip
    assert database.anomalies.lessons({WEB_MEMORY.name}, NOON + 31 * DAY) == []
    kept = database.anomalies.kept_lessons(NOON + 2 * DAY)
    assert database.anomalies.unlearn(kept[0].id)
    assert not database.anomalies.unlearn(kept[0].id)
    assert len(database.anomalies.kept_lessons(NOON + 2 * DAY)) == 2


def test_people_see_what_is_open_and_what_was_lately_unusual(database: Database) -> None:
    store = database.anomalies
    store.open_group(new_group(unusual()), [unusual()])
    store.open_group(new_group(unusual(WEB_CPU)), [unusual(WEB_CPU, known=True)])
    assert [g.cause for g in store.groups(NOON + DAY, held=True)] == ["cpu", "memory"]
    assert [g.cause for g in store.groups(NOON + DAY, held=False)] == ["memory"]
    store.close_group(store.open_groups()[0], NOON + DAY)
    assert [g.cause for g in store.groups(NOON + DAY, held=True)] == ["cpu"]
    assert [g.cause for g in store.groups(NOON, held=True, limit=1)] == ["cpu"]
    assert store.group(77) is None
