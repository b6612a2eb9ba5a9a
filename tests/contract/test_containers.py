"""The same promises from the fakes and from a real Docker engine and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.adapters.docker_engine.engines import DockerEngine
from aegis_lib.containers.model import HealthCheck, Listed, Notice, RestartOutcome
from aegis_lib.db.database import Database
from aegis_lib.ports.containers import ContainerEngine
from aegis_lib.settings import DockerSettings
from tests.docker_boxes import Boxes
from tests.fakes.containers import FakeEngine, FakeStrikes
from tests.waiting import wait_until

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
INTERVAL = timedelta(seconds=240)
LEASE = timedelta(seconds=240)
HALF = HealthCheck(interval_seconds=0.5, timeout_seconds=2, retries=1)


# --- the engine ---


@dataclass
class Ward:
    """An engine with one healthy, one sick and one ended container, and their ids by short name."""

    engine: ContainerEngine
    only_label: str
    ids: dict[str, str]
    real: Boxes | None = None

    def remove(self, name: str) -> None:
        if self.real is not None:
            self.real.remove(self.ids[name])
        else:
            assert isinstance(self.engine, FakeEngine)
            self.engine.remove(name)

    def listed(self) -> dict[str, Listed]:
        found = self.engine.containers(self.only_label)
        return {next(short for short in self.ids if c.name.endswith(short)): c for c in found}


@pytest.fixture
def fake_ward() -> Ward:
    engine = FakeEngine()
    labels = {"run": "mine", "extra": "x"}
    engine.add("healthy", labels=labels, health="healthy", check=HALF, started_at=datetime.now(UTC))
    engine.add("sick", labels=labels, health="unhealthy", check=HALF, health_output="no\n")
    engine.add("ended", labels=labels, state="exited", exit_code=3)
    engine.add("foreign", labels={"run": "theirs"})
    engine.boxes["id-ended"].output = "one\ntwo\nthree\n"
    return Ward(engine, "run=mine", {name: f"id-{name}" for name in ("healthy", "sick", "ended")})


@pytest.fixture
def docker_ward(boxes: Boxes) -> Iterator[Ward]:
    ids = {
        "healthy": boxes.make("healthy", health="true", labels={"extra": "x"}),
        "sick": boxes.make("sick", health="echo no; false", labels={"extra": "x"}),
        "ended": boxes.make("ended", "echo one; echo two; echo three; exit 3", labels={"extra": "x"}),
    }
    wait_until(lambda: boxes.health(ids["healthy"]) == "healthy", description="a healthy container")
    wait_until(lambda: boxes.health(ids["sick"]) == "unhealthy", description="an unhealthy container")
    wait_until(lambda: boxes.state(ids["ended"])["Status"] == "exited", description="an ended container")
    engine = DockerEngine("local", "unix:///var/run/docker.sock", DockerSettings())
    yield Ward(engine, boxes.only_label, ids, boxes)
    engine.close()


@pytest.fixture(params=["fake_ward", "docker_ward"])
def ward(request: pytest.FixtureRequest) -> Ward:
    made: Ward = request.getfixturevalue(request.param)
    return made


def test_the_engine_keeps_its_promises(ward: Ward) -> None:
    engine = ward.engine
    found = ward.listed()
    assert {name: (c.state, c.health, c.exit_code) for name, c in found.items()} == {
        "healthy": ("running", "healthy", None),
        "sick": ("running", "unhealthy", None),
        "ended": ("exited", None, 3),
    }
    assert {name: c.id for name, c in found.items()} == ward.ids
    assert found["healthy"].up_seconds is not None
    assert found["healthy"].labels["extra"] == "x"
    assert not found["healthy"].itself
    assert [c.id for c in engine.containers(ward.only_label.partition("=")[0]) if c.id in ward.ids.values()]

    sick, ended = engine.inspect(ward.ids["sick"]), engine.inspect(ward.ids["ended"])
    assert sick is not None
    assert ended is not None
    assert (sick.state, sick.health, sick.health_output, sick.check) == ("running", "unhealthy", "no\n", HALF)
    assert (ended.state, ended.exit_code, ended.oom_killed, ended.restart_policy) == (
        "exited",
        3,
        False,
        "no",
    )
    assert engine.logs(ward.ids["ended"], 2, 1000) == "two\nthree"
    assert engine.logs(ward.ids["ended"], 0, 1000) == ""

    assert engine.restart(ward.ids["healthy"], 0).outcome is RestartOutcome.RESTARTED
    again = engine.inspect(ward.ids["healthy"])
    assert again is not None
    assert again.started_at is not None
    assert again.started_at > (found["healthy"].created_at if ward.real else NOON)
    assert again.restarts == 0

    ward.remove("sick")
    assert "sick" not in ward.listed()
    assert engine.inspect(ward.ids["sick"]) is None
    assert engine.restart(ward.ids["sick"], 0).outcome is RestartOutcome.GONE
    assert engine.logs(ward.ids["sick"], 5, 1000) == "(the container is gone)"


# --- the strikes ---


@pytest.fixture(params=["fake", "real"])
def strikes(request: pytest.FixtureRequest) -> FakeStrikes:
    """A `StrikeStore`; typed as the fake, which has all of its methods and `acknowledge`."""
    if request.param == "fake":
        return FakeStrikes()
    database: Database = request.getfixturevalue("database")
    return database.strikes  # type: ignore[return-value]


def web(**changes: str) -> Listed:
    return Listed(
        **{"engine": "local", "id": "a", "name": "web", "state": "running", "created_at": NOON, **changes}
    )


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_a_strike_counts_once_per_interval(strikes: FakeStrikes) -> None:
    first = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert first is not None
    assert (first.strikes, first.first_strike_at, first.attempts) == (1, at(0), 0)
    assert strikes.claim_strike(web(), "sick", at(3.9), INTERVAL) is None
    second = strikes.claim_strike(web(), "sicker", at(5), INTERVAL)
    assert second is not None
    assert (second.strikes, second.reason, second.first_strike_at) == (2, "sicker", at(0))
    assert strikes.open_cases(at(5)) == [second]
    assert strikes.open_cases(at(5), "nas") == []
    assert strikes.open_cases(at(5), "local", "other") == []


def test_a_recreated_container_begins_anew_at_once(strikes: FakeStrikes) -> None:
    old = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert old is not None
    strikes.quarantine(old, at(0))
    strikes.claim_notice(old, Notice.ESCALATION, at(0), LEASE)
    strikes.notice_delivered(old, Notice.ESCALATION, at(0))
    strikes.count_healthy(old, at(0), INTERVAL)
    new = strikes.claim_strike(web(id="b"), "sick", at(1), INTERVAL)
    assert new is not None
    assert new.model_dump(exclude_defaults=True) == {
        "engine": "local", "name": "web", "container_id": "b", "strikes": 1, "reason": "sick",
        "first_strike_at": at(1), "last_strike_at": at(1),
    }  # fmt: skip
    assert strikes.claim_strike(web(id="b"), "sick", at(1), INTERVAL) is None


def test_a_restart_is_claimed_once_and_only_within_the_budget(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    assert strikes.claim_restart(case, at(0), 0, LEASE) is None
    number = strikes.claim_restart(case, at(0), 1, LEASE)
    assert number is not None
    assert strikes.claim_restart(case, at(0), 5, LEASE) is None  # the same attempt
    (held,) = strikes.open_cases(at(1))
    assert (held.attempts, held.restarts_today, held.last_restart_at) == (1, 1, at(0))
    assert held.last_restart_outcome is None
    assert strikes.claim_restart(held, at(1), 1, LEASE) is None  # over budget
    strikes.finish_restart(number, RestartOutcome.VERIFIED, at(1))
    (held,) = strikes.open_cases(at(24 * 60 - 1))
    assert (held.restarts_today, held.last_restart_outcome) == (1, RestartOutcome.VERIFIED)
    (held,) = strikes.open_cases(at(24 * 60))
    assert (held.attempts, held.restarts_today) == (1, 0)


def test_an_abandoned_restart_is_marked_when_the_next_is_claimed(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    strikes.claim_restart(case, at(0), 3, LEASE)
    (held,) = strikes.open_cases(at(5))
    number = strikes.claim_restart(held, at(5), 3, LEASE)
    assert number is not None
    strikes.finish_restart(number, RestartOutcome.REFUSED, at(5))
    (held,) = strikes.open_cases(at(5))
    assert (held.attempts, held.last_restart_outcome) == (2, RestartOutcome.REFUSED)


def test_a_quarantined_or_closed_case_gets_no_restart(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    assert strikes.quarantine(case, at(0))
    assert not strikes.quarantine(case, at(1))
    assert strikes.claim_restart(case, at(0), 3, LEASE) is None
    assert strikes.close(case)
    assert not strikes.close(case)
    assert strikes.claim_restart(case, at(0), 3, LEASE) is None


def test_the_call_for_a_human_is_claimed_once_until_it_fails_or_is_abandoned(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    assert strikes.claim_notice(case, Notice.ESCALATION, at(0), LEASE)
    assert not strikes.claim_notice(case, Notice.ESCALATION, at(3), LEASE)
    assert strikes.claim_notice(case, Notice.ESCALATION, at(4), LEASE)  # whoever claimed it has died
    strikes.release_notice(case)
    assert strikes.claim_notice(case, Notice.ESCALATION, at(4), LEASE)  # delivery failed
    strikes.notice_delivered(case, Notice.ESCALATION, at(4))
    assert not strikes.claim_notice(case, Notice.ESCALATION, at(60), LEASE)


def test_a_reminder_is_claimed_once_for_each_message_before_it(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    strikes.notice_delivered(case, Notice.ESCALATION, at(1))
    (told,) = strikes.open_cases(at(2))
    assert strikes.claim_notice(told, Notice.REMINDER, at(2), LEASE)
    strikes.notice_delivered(told, Notice.REMINDER, at(2))
    assert not strikes.claim_notice(told, Notice.REMINDER, at(30), LEASE)
    (reminded,) = strikes.open_cases(at(30))
    assert (reminded.escalated_at, reminded.reminded_at) == (at(1), at(2))
    assert strikes.claim_notice(reminded, Notice.REMINDER, at(30), LEASE)


def test_healthy_cycles_count_once_per_interval_and_in_a_row(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    assert strikes.count_healthy(case, at(1), INTERVAL) == 1
    assert strikes.count_healthy(case, at(2), INTERVAL) is None
    assert strikes.count_healthy(case, at(6), INTERVAL) == 2
    strikes.sick_again(case)
    assert strikes.count_healthy(case, at(11), INTERVAL) == 1
    struck = strikes.claim_strike(web(), "sick", at(12), INTERVAL)
    assert struck is not None
    assert (struck.strikes, struck.healthy_cycles) == (2, 0)


def test_a_recovered_case_is_closed_by_its_message_and_begins_anew_when_sick(strikes: FakeStrikes) -> None:
    case = strikes.claim_strike(web(), "sick", at(0), INTERVAL)
    assert case is not None
    assert not strikes.claim_notice(case, Notice.RECOVERY, at(1), LEASE)
    assert strikes.mark_recovered(case, at(1))
    assert not strikes.mark_recovered(case, at(1))
    assert strikes.claim_notice(case, Notice.RECOVERY, at(1), LEASE)
    assert not strikes.claim_notice(case, Notice.RECOVERY, at(2), LEASE)
    anew = strikes.claim_strike(web(), "sick again", at(2), INTERVAL)
    assert anew is not None
    assert (anew.strikes, anew.first_strike_at, anew.recovered_at) == (1, at(2), None)
    strikes.notice_delivered(case, Notice.RECOVERY, at(3))  # of the case before: touches nothing
    assert len(strikes.open_cases(at(3))) == 1
    strikes.notice_delivered(anew, Notice.RECOVERY, at(3))
    assert strikes.open_cases(at(3)) == []


def test_an_acknowledgement_forgets_strikes_and_forgives_restarts_under_that_name(
    strikes: FakeStrikes,
) -> None:
    for engine in ("local", "nas"):
        case = strikes.claim_strike(web(engine=engine), "sick", at(0), INTERVAL)
        assert case is not None
        strikes.claim_restart(case, at(0), 1, LEASE)
    untouched = strikes.claim_strike(web(name="db"), "sick", at(0), INTERVAL)
    assert untouched is not None
    strikes.claim_restart(untouched, at(0), 1, LEASE)
    assert strikes.acknowledge("web", "nas") == ["nas"]
    assert strikes.acknowledge("web") == ["local"]
    assert strikes.acknowledge("web") == []
    (other,) = strikes.open_cases(at(0))
    assert (other.name, other.restarts_today) == ("db", 1)
    again = strikes.claim_strike(web(), "sick", at(1), INTERVAL)
    assert again is not None
    assert again.restarts_today == 0
