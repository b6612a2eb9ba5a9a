"""When a database is slow, and when no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.health import messages
from aegis_lib.health.model import HealthConfig, Outage, Slowness
from aegis_lib.health.policy import Turn, is_slow, judge_latency

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
CONFIG = HealthConfig(max_latency_ms=100, slow_checks=3)


@pytest.mark.parametrize(("latency_ms", "slow"), [(0, False), (99.9, False), (100, False), (100.1, True)])
def test_only_more_than_the_limit_is_slow(latency_ms: float, slow: bool) -> None:
    assert is_slow(latency_ms, CONFIG) is slow


def run(latencies: list[float], config: HealthConfig = CONFIG) -> list[Turn]:
    known, turns = Slowness(), []
    for number, latency in enumerate(latencies):
        known, turn = judge_latency(known, latency, NOW + number * timedelta(minutes=5), config)
        turns.append(turn)
    return turns


@pytest.mark.parametrize(
    ("latencies", "started", "ended"),
    [
        ([1, 1, 1, 1], [], []),
        ([500, 500, 1, 500, 500], [], []),  # never three in a row
        ([500, 500, 500], [2], []),
        ([500] * 10, [2], []),  # once per episode
        ([500] * 3 + [1, 1], [2], []),
        ([500] * 3 + [1, 1, 1], [2], [5]),
        ([500] * 3 + [1, 1, 500, 1, 1], [2], []),  # a hiccup does not split the episode
        ([500] * 3 + [1, 1, 1] + [500] * 3, [2, 8], [5]),
        ([500] * 3 + [1, 1, 1] + [500] * 2, [2], [5]),
    ],
)
def test_an_episode_starts_and_ends_with_as_many_checks_in_a_row(
    latencies: list[float], started: list[int], ended: list[int]
) -> None:
    turns = run(latencies)
    assert [n for n, turn in enumerate(turns) if turn is Turn.STARTED] == started
    assert [n for n, turn in enumerate(turns) if turn is Turn.ENDED] == ended


def test_with_one_slow_check_every_slow_reading_starts_an_episode() -> None:
    turns = run([500, 1, 500, 1], HealthConfig(max_latency_ms=100, slow_checks=1))
    assert turns == [Turn.STARTED, Turn.ENDED, Turn.STARTED, Turn.ENDED]


def test_an_episode_remembers_when_it_started_and_who_was_told() -> None:
    told = Slowness(since=NOW, told=True)
    later, _ = judge_latency(told, 500, NOW + timedelta(hours=1), CONFIG)
    assert (later.since, later.told) == (NOW, True)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=45.4), "45 s"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(days=1), "1 d"),
    ],
)
def test_a_duration_is_said_in_words(length: timedelta, text: str) -> None:
    assert messages.duration(length) == text


def test_the_alert_says_what_when_and_that_it_comes_once() -> None:
    message = messages.outage_alert(Outage(since=NOW, error="no *answer*\nat all"), ["the disk is full"])
    assert message.severity.value == "critical"
    assert "2026-01-25T06:00:00Z" in message.body
    assert r"no \*answer\* at all" in message.body
    assert "sent once" in message.body
    assert "the disk is full" in message.body
    unremembered = messages.outage_alert(Outage(since=NOW), [], remembered=False)
    assert "sent once" not in unremembered.body
    assert "repeats at every check" in unremembered.body


def test_the_recovery_says_from_when_to_when_and_what_was_kept() -> None:
    outage = Outage(since=NOW, error="x")
    notice = messages.recovery_notice(outage, NOW + timedelta(minutes=65), 12)
    assert "2026-01-25T06:00:00Z to 2026-01-25T07:05:00Z (1 h 5 min)" in notice.body
    assert "12" in notice.body
    assert notice.key == messages.outage_alert(outage, []).key
