"""What is decided about an alert, as tables: state, time and configuration in, one action out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aegis_lib.alerts import policy
from aegis_lib.alerts.model import (
    Alert,
    AlertsConfig,
    AlertState,
    NoticeKind,
    QuietHours,
    RootCause,
    Severity,
)
from aegis_lib.alerts.policy import Action

NOW = datetime(2026, 1, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
QUIET_NOW = QuietHours(start="11:00", end="13:00")
AWAY = "Flow run encountered an exception: DependencyUnavailable: PostgreSQL: no connection."


def alert(number: int = 1, *, age: timedelta = HOUR, **fields: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": number,
        "key": f"job:{number}",
        "severity": Severity.WARNING,
        "title": "site_check failed",
        "first_seen_at": NOW - age,
        "last_seen_at": NOW - MINUTE,
    }
    return Alert(**{**usual, **fields})


def told(ago: timedelta, **fields: Any) -> Alert:
    return alert(**{"state": AlertState.SENT, "notified_at": NOW - ago, "age": ago, **fields})


def outage(**fields: Any) -> Alert:
    return alert(99, **{"key": "db_outage:2026", "severity": Severity.CRITICAL, **fields})


def flapping(*, since: timedelta = 2 * HOUR, calm: timedelta | None = None, **fields: Any) -> Alert:
    calm_since = None if calm is None else NOW - calm
    return told(since, **{"flapping_at": NOW - since, "calm_since": calm_since, **fields})


CASES: dict[str, tuple[Alert, dict[str, Any], Action]] = {
    "a new alert is told": (alert(), {}, Action.TELL),
    "in quiet hours it waits": (alert(), {"quiet_hours": QUIET_NOW}, Action.WAIT),
    "a critical one does not": (
        alert(severity=Severity.CRITICAL), {"quiet_hours": QUIET_NOW}, Action.TELL,
    ),
    "a told one waits": (told(HOUR), {}, Action.WAIT),
    "after the period it is reminded of": (told(12 * HOUR), {}, Action.REMIND),
    "not a minute before": (told(12 * HOUR - MINUTE), {}, Action.WAIT),
    "not in quiet hours": (told(12 * HOUR), {"quiet_hours": QUIET_NOW}, Action.WAIT),
    "not without a period": (told(500 * HOUR), {"reminder_hours": 0}, Action.WAIT),
    "a reminder starts the period anew": (
        told(20 * HOUR, reminded_at=NOW - 8 * HOUR, reminders=1), {}, Action.WAIT,
    ),
    "and ends": (told(30 * HOUR, reminded_at=NOW - 12 * HOUR, reminders=1), {}, Action.REMIND),
    "an acknowledged one is left alone": (
        told(500 * HOUR, state=AlertState.ACKNOWLEDGED, severity=Severity.CRITICAL), {}, Action.WAIT,
    ),
    "a critical one escalates": (told(15 * MINUTE, severity=Severity.CRITICAL), {}, Action.ESCALATE),
    "not before its time": (told(14 * MINUTE, severity=Severity.CRITICAL), {}, Action.WAIT),
    "also while no channel has taken it": (
        told(15 * MINUTE, severity=Severity.CRITICAL, state=AlertState.PENDING), {}, Action.ESCALATE,
    ),
    "also in quiet hours": (
        told(15 * MINUTE, severity=Severity.CRITICAL), {"quiet_hours": QUIET_NOW}, Action.ESCALATE,
    ),
    "a warning never escalates": (told(10 * HOUR), {}, Action.WAIT),
    "never where it is switched off": (
        told(HOUR, severity=Severity.CRITICAL), {"escalate_after_minutes": 0}, Action.WAIT,
    ),
    "only once": (
        told(HOUR, severity=Severity.CRITICAL, escalated_at=NOW - 30 * MINUTE), {}, Action.WAIT,
    ),
    "its end is told": (told(HOUR, state=AlertState.RESOLVED, resolved_at=NOW), {}, Action.RECOVER),
    "in quiet hours the end waits": (
        told(HOUR, state=AlertState.RESOLVED, resolved_at=NOW), {"quiet_hours": QUIET_NOW}, Action.WAIT,
    ),
    "the end of a critical one does not": (
        told(HOUR, resolved_at=NOW, severity=Severity.CRITICAL), {"quiet_hours": QUIET_NOW}, Action.RECOVER,
    ),
    "the end of what nobody was told of is not told": (
        alert(state=AlertState.RESOLVED, resolved_at=NOW), {}, Action.CLOSE,
    ),
    "a closed one is nothing": (told(HOUR, resolved_at=NOW, closed_at=NOW), {}, Action.WAIT),
    "whose watcher reminds is not reminded of": (told(500 * MINUTE, own_reminders=True), {}, Action.WAIT),
    "but when the watcher asks for it": (
        told(20 * MINUTE, own_reminders=True, again_at=NOW - MINUTE), {}, Action.REMIND,
    ),
    "once for each asking": (
        told(20 * MINUTE, own_reminders=True, again_at=NOW - 2 * MINUTE, reminded_at=NOW - MINUTE),
        {}, Action.WAIT,
    ),
    "what its watcher has forgotten is closed": (
        told(200 * HOUR, own_reminders=True, last_seen_at=NOW - 169 * HOUR), {}, Action.CLOSE,
    ),
    "what may follow from a root cause waits for it": (alert(reason=AWAY, age=MINUTE), {}, Action.WAIT),
    "but not for long": (alert(reason=AWAY, age=2 * MINUTE), {}, Action.TELL),
    "one that comes and goes is not over at once": (flapping(calm=MINUTE), {}, Action.WAIT),
    "but when it has been calm": (flapping(calm=HOUR), {}, Action.RECOVER),
    "for as long as is asked": (flapping(calm=HOUR), {"calm_minutes": 90}, Action.WAIT),
    "also one that somebody has in hand": (
        flapping(calm=HOUR, state=AlertState.ACKNOWLEDGED), {}, Action.RECOVER,
    ),
    "in quiet hours that waits too": (flapping(calm=HOUR), {"quiet_hours": QUIET_NOW}, Action.WAIT),
    "while it is bad it is reminded of as any": (flapping(since=12 * HOUR), {}, Action.REMIND),
    "while it is calm it is not": (flapping(since=12 * HOUR, calm=MINUTE), {}, Action.WAIT),
    "and does not escalate then": (
        flapping(calm=MINUTE, severity=Severity.CRITICAL), {}, Action.WAIT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_alert(case: str) -> None:
    judged, config, expected = CASES[case]
    assert policy.decide(judged, [judged], NOW, AlertsConfig(**config), second=True).action is expected


@pytest.mark.parametrize(
    ("before_minutes", "config", "expected"),
    [
        ([], {}, Action.TELL),
        ([10], {}, Action.TELL),
        ([10, 20], {}, Action.FLAP),
        ([10, 20, 30], {}, Action.FLAP),
        ([10, 60], {}, Action.FLAP),
        ([10, 61], {}, Action.TELL),
        ([10], {"flapping_openings": 2}, Action.FLAP),
        ([10, 20], {"flapping_openings": 4}, Action.TELL),
        ([10, 20], {"flapping_minutes": 15}, Action.TELL),
        ([10, 20], {"flapping_minutes": 0}, Action.TELL),
        ([10, 20], {"quiet_hours": QUIET_NOW}, Action.WAIT),
    ],
)
def test_what_opens_again_and_again_is_flapping(
    before_minutes: list[int], config: dict[str, Any], expected: Action
) -> None:
    new = alert(9, key="job:x", age=MINUTE)
    earlier = [
        told(minutes * MINUTE + MINUTE, number=number, key="job:x", count=2, resolved_at=NOW, closed_at=NOW)
        for number, minutes in enumerate(before_minutes)
    ]
    others = [told(3 * MINUTE, number=50 + n, key="job:y", resolved_at=NOW, closed_at=NOW) for n in range(9)]
    settings = AlertsConfig(**config)
    assert policy.decide(new, [*earlier, *others, new], NOW, settings, second=True).action is expected


def test_openings_that_a_root_cause_explained_do_not_count_and_neither_does_what_is_said_once() -> None:
    new = alert(9, key="job:x", age=MINUTE)
    hidden = [alert(n, key="job:x", suppressed_by=99, resolved_at=NOW, closed_at=NOW) for n in range(5)]
    assert policy.decide(new, [*hidden, new], NOW, AlertsConfig(), second=True).action is Action.TELL
    once = alert(9, key="job:x", age=MINUTE, lasting=False)
    before = [alert(n, key="job:x", age=2 * MINUTE) for n in range(5)]
    assert policy.decide(once, [*before, once], NOW, AlertsConfig(), second=True).action is Action.TELL


def test_a_flapping_alert_goes_on_with_what_its_openings_saw() -> None:
    new = alert(9, key="job:x", age=MINUTE)
    earlier = [alert(n, key="job:x", age=(n + 1) * 10 * MINUTE, count=3) for n in range(2)]
    merged = policy.as_flapping(new, [*earlier, new], AlertsConfig())
    assert (merged.openings, merged.count, merged.first_seen_at) == (3, 7, NOW - 20 * MINUTE)
    assert merged.id == new.id


def test_nothing_escalates_without_a_second_channel() -> None:
    judged = told(HOUR, severity=Severity.CRITICAL)
    assert policy.decide(judged, [], NOW, AlertsConfig(), second=False).action is Action.WAIT


FOLLOWING: dict[str, tuple[Alert, Alert, Action]] = {
    "of the same time: not sent": (alert(reason=AWAY), outage(), Action.SUPPRESS),
    "noted once": (alert(reason=AWAY, suppressed_by=99), outage(), Action.WAIT),
    "another reason: sent": (alert(reason="KeyError: 'x'"), outage(), Action.TELL),
    "no reason known: sent": (alert(), outage(), Action.TELL),
    "seen a little before it: not sent": (
        alert(reason=AWAY, age=HOUR + 9 * MINUTE), outage(), Action.SUPPRESS,
    ),
    "seen long before it: sent": (alert(reason=AWAY, age=2 * HOUR), outage(), Action.TELL),
    "the cause is over, and nothing since: not sent": (
        alert(reason=AWAY, last_seen_at=NOW - 30 * MINUTE),
        outage(resolved_at=NOW - 25 * MINUTE), Action.SUPPRESS,
    ),
    "it goes on after the cause: sent": (
        alert(reason=AWAY, suppressed_by=99), outage(resolved_at=NOW - 25 * MINUTE), Action.TELL,
    ),
    "the cause is long over and it is still open: sent": (
        alert(reason=AWAY, age=20 * HOUR, last_seen_at=NOW - 19 * HOUR, suppressed_by=99),
        outage(age=20 * HOUR, resolved_at=NOW - 18 * HOUR), Action.TELL,
    ),
    "reminders wait for the end of the cause": (
        told(12 * HOUR, reason=AWAY), outage(age=13 * HOUR), Action.WAIT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLLOWING)
def test_what_follows_from_a_root_cause(case: str) -> None:
    judged, root, expected = FOLLOWING[case]
    found = policy.decide(judged, [root, judged], NOW, AlertsConfig(), second=True)
    assert found.action is expected
    assert found.cause == (99 if expected is Action.SUPPRESS or case == "noted once" else None)


def test_a_root_cause_is_never_explained_by_another() -> None:
    root = outage(reason=AWAY)
    inferred = alert(7, key="cause:database", reason=AWAY)
    for judged in (root, inferred):
        assert policy.decide(judged, [root, inferred], NOW, AlertsConfig(), second=True).action is Action.TELL


def test_enough_alerts_of_one_cause_make_it_an_alert_and_its_end_is_that_of_the_last() -> None:
    config = AlertsConfig()
    followers = [alert(n, reason="Docker engine: no answer", age=MINUTE) for n in (1, 2)]
    assert policy.inferred(followers[:1], config) == {}
    ((cause, found),) = policy.inferred(followers, config).items()
    assert (cause.name, [a.id for a in found]) == ("engine", [1, 2])
    assert policy.inferred([*followers, alert(5, key=policy.cause_key(cause), age=MINUTE)], config) == {}

    root = alert(5, key=policy.cause_key(cause))
    held = [a.model_copy(update={"suppressed_by": 5}) for a in followers]
    assert policy.outlived([root, *held], config) == []
    over = [a.model_copy(update={"resolved_at": NOW}) for a in held]
    assert policy.outlived([root, held[0], over[1]], config) == []
    assert policy.outlived([root, *over], config) == [root]


QUIET = QuietHours(start="22:00", end="07:00", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("utc", "quiet"),
    [
        ("2026-01-25T20:59:59", False),
        ("2026-01-25T21:00:00", True),
        ("2026-01-26T02:00:00", True),
        ("2026-01-26T05:59:59", True),
        ("2026-01-26T06:00:00", False),
        ("2026-07-25T20:00:00", True),  # summer time
        ("2026-07-26T05:00:00", False),
        ("2026-03-29T00:59:00", True),  # the night in which the clock jumps
        ("2026-03-29T04:59:00", True),
        ("2026-03-29T05:00:00", False),
    ],
)
def test_quiet_hours_are_local_and_may_span_midnight(utc: str, quiet: bool) -> None:
    assert policy.is_quiet(QUIET, datetime.fromisoformat(utc).replace(tzinfo=UTC)) is quiet


def test_quiet_hours_need_a_known_zone_and_a_length() -> None:
    for wrong in ({"timezone": "Europe/Nowhere"}, {"start": "07:00"}, {"start": "24:00"}):
        with pytest.raises(ValidationError):
            QuietHours(**{"end": "07:00", **wrong})


CHANNELS = ("discord", "telegram", "apprise-1 (mailtos)")
TWO = AlertsConfig(first_channels=("discord",), second_channels=("tele*",))


@pytest.mark.parametrize(
    ("kind", "fields", "config", "expected"),
    [
        (NoticeKind.PROBLEM, {}, AlertsConfig(), CHANNELS),
        (NoticeKind.PROBLEM, {}, AlertsConfig(second_channels=("telegram",)), (CHANNELS[0], CHANNELS[2])),
        (NoticeKind.PROBLEM, {}, TWO, ("discord",)),
        (NoticeKind.PROBLEM, {}, AlertsConfig(first_channels=("gone",)), CHANNELS),
        (NoticeKind.ESCALATION, {}, TWO, ("telegram",)),
        (NoticeKind.REMINDER, {}, TWO, ("discord",)),
        (NoticeKind.REMINDER, {"escalated_at": NOW}, TWO, ("discord", "telegram")),
        (NoticeKind.RECOVERY, {"told": ("discord", "telegram")}, TWO, ("discord", "telegram")),
        (NoticeKind.RECOVERY, {"told": ("removed",)}, TWO, ("discord",)),
    ],
)
def test_where_a_notice_goes(
    kind: NoticeKind, fields: dict[str, Any], config: AlertsConfig, expected: tuple[str, ...]
) -> None:
    assert policy.route(kind, alert(**fields), CHANNELS, config) == expected


def test_channels_that_are_named_and_not_there_are_found() -> None:
    config = AlertsConfig(first_channels=("*",), second_channels=("signal", "telegram"))
    assert policy.unknown_channels(CHANNELS, config) == ("signal",)


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_a_channel_is_left_alone_ever_longer_and_never_too_long(failures: int, jitter: float) -> None:
    seconds = policy.hold_seconds(failures, None, jitter)
    full = min(900, 30 * 2 ** (min(failures, 20) - 1))
    assert full / 2 <= seconds <= full


@given(asked=st.floats(0, 3600), jitter=st.floats(0, 1))
def test_a_wait_that_the_service_asks_for_is_kept(asked: float, jitter: float) -> None:
    assert asked <= policy.hold_seconds(9, asked, jitter) <= asked + 1


alerts = st.builds(
    alert,
    number=st.integers(1, 5),
    severity=st.sampled_from(Severity),
    state=st.sampled_from(AlertState),
    reason=st.sampled_from(["", AWAY]),
    own_reminders=st.booleans(),
    notified_at=st.none() | st.just(NOW - HOUR),
    resolved_at=st.none() | st.just(NOW - MINUTE),
    closed_at=st.none() | st.just(NOW - MINUTE),
)


@given(judged=alerts, others=st.lists(alerts, max_size=3), second=st.booleans())
def test_whatever_stands_in_the_outbox_one_decision_comes_of_it(
    judged: Alert, others: list[Alert], second: bool
) -> None:
    config = AlertsConfig(quiet_hours=QUIET_NOW)
    found = policy.decide(judged, [judged, *others], NOW, config, second=second)
    if judged.closed_at is not None:
        assert found.action is Action.WAIT
    if found.action in policy.NOTICES:
        assert judged.severity is Severity.CRITICAL, "nothing else leaves in quiet hours"
    if found.action is Action.RECOVER:
        assert judged.notified_at is not None


def test_two_root_causes_of_one_name_are_refused() -> None:
    cause = RootCause(name="x", title="X")
    with pytest.raises(ValidationError, match="same name"):
        AlertsConfig(root_causes=(cause, cause))


def test_the_failure_of_a_critical_job_is_critical() -> None:
    config = AlertsConfig(critical_jobs=("memory_*",))
    assert policy.severity_of_job("memory_cleanup", config) is Severity.CRITICAL
    assert policy.severity_of_job("site_check", config) is Severity.WARNING
