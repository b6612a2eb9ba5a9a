"""The three-strike protocol on a real Docker engine and a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines
from aegis_lib.containers import examination, service
from aegis_lib.containers.model import (
    Condition,
    ContainersConfig,
    HealingReport,
    Listed,
    Notice,
    RestartOutcome,
    RestartRule,
)
from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.containers import ContainerEngine
from aegis_lib.settings import DatabaseSettings, DockerSettings
from tests.docker_boxes import Boxes
from tests.fakes.alerts import FakeNotifier
from tests.fakes.containers import FakeEngine
from tests.waiting import wait_until

AT_ONCE = timedelta(0)


@pytest.fixture
def notifier() -> FakeNotifier:
    return FakeNotifier()


@pytest.fixture
def cycle(boxes: Boxes, database: Database, notifier: FakeNotifier) -> Callable[..., HealingReport]:
    """Runs one cycle over the containers of this test; the next one may follow at once."""

    def run(found: Sequence[ContainerEngine] | None = None, **options: Any) -> HealingReport:
        config = ContainersConfig(**{"verify_max_seconds": 10, **options.pop("config", {})})
        usual: dict[str, Any] = {"strike_interval": AT_ONCE, "only_label": boxes.only_label, "dry_run": False}
        with engines.connect(DockerSettings()) as local:
            return service.run_cycle(
                found or local, database.strikes, database.memory, notifier, config,
                now=clock.utcnow(), **{**usual, **options},
            )  # fmt: skip

    return run


def unhealthy(boxes: Boxes, name: str = "web", **options: Any) -> str:
    container = boxes.make(name, "echo started; sleep 600", health="echo no; false", **options)
    wait_until(lambda: boxes.health(container) == "unhealthy", description=f"{name} to be unhealthy")
    return container


def test_an_unhealthy_container_is_logged_restarted_and_escalated(
    boxes: Boxes, cycle: Callable[..., HealingReport], database: Database, notifier: FakeNotifier
) -> None:
    container = unhealthy(boxes)
    title = boxes.name("web")
    began = boxes.state(container)["StartedAt"]

    first = cycle()
    assert (first.unhealthy, first.actions_taken, first.escalations) == (1, 0, ())
    assert (first.containers[0].container, first.containers[0].strikes) == (title, "1/3")
    assert boxes.state(container)["StartedAt"] == began

    second = cycle()
    assert (second.actions_taken, second.escalations) == (1, ())
    assert second.containers[0].action == "restarted, still sick"
    assert boxes.state(container)["StartedAt"] > began
    assert notifier.sent == []

    third = cycle()
    assert (third.actions_taken, third.escalations) == (0, (title,))
    (message,) = notifier.sent
    assert message.title == f"Container {title} needs a human"
    assert message.body.count("started") >= 2  # the log of both lives
    assert "```\nno\n```" in message.body
    assert "exit code 0" in message.body

    fourth = cycle()
    assert fourth.containers[0].action == "waiting for a human"
    assert len(notifier.sent) == 1

    events = database.memory.recall_recent(event_type="docker_health_check")
    assert [e.importance for e in events].count(Importance.CRITICAL) == 1
    assert len(events) == 4  # three cycles with changes and the call; none for the quiet one

    assert database.strikes.acknowledge(title) == ["local"]
    assert cycle().containers[0].strikes == "1/3"


def test_a_container_healed_by_the_restart_is_verified_and_its_case_closed(
    boxes: Boxes, cycle: Callable[..., HealingReport], database: Database, notifier: FakeNotifier
) -> None:
    container = boxes.make("web", "rm -f /sick; sleep 600", health="test ! -e /sick")
    wait_until(lambda: boxes.health(container) == "healthy", description="the container to be healthy")
    boxes.run(container, "touch /sick")
    wait_until(lambda: boxes.health(container) == "unhealthy", description="the container to be sick")
    cycle()
    assert cycle().containers[0].action == "restarted, well again"
    rows = database.connection.execute("SELECT outcome, verified_at FROM container_restarts").fetchall()
    assert [row["outcome"] for row in rows] == ["verified"]
    assert rows[0]["verified_at"] is not None
    reports = [cycle(config={"healthy_cycles_to_clear": 2}) for _ in range(2)]
    assert [r.containers[0].action for r in reports] == ["healthy cycle 1 of 2", "healthy: strikes forgotten"]
    assert database.strikes.open_cases(clock.utcnow()) == []
    assert notifier.sent == []


GREEDY = "tail /dev/zero; sleep 1; exit 137"
"""The shell outlives what is killed for its memory: an engine told of the end first forgets the flag."""


def judged(boxes: Boxes, now: datetime | None = None) -> dict[str, tuple[Condition, str]]:
    prefix = boxes.name("")
    with engines.connect(DockerSettings()) as (engine,):
        found = examination.examine(engine, ContainersConfig(), now or clock.utcnow(), boxes.only_label)
    assert found.problems == []
    return {
        p.listed.name.removeprefix(prefix): (p.verdict.condition, p.verdict.reason) for p in found.patients
    }


def test_every_state_of_a_container_is_judged(boxes: Boxes) -> None:
    twice = {"Name": "on-failure", "MaximumRetryCount": 2}
    made = {
        "healthy": boxes.make("healthy", health="true"),
        "sick": boxes.make("sick", health="false"),
        "starting": boxes.make("starting", health="false", start_period_seconds=600),
        "plain": boxes.make("plain"),
        "created": boxes.make("created", start=False),
        "paused": boxes.make("paused"),
        "finished": boxes.make("finished", "exit 0", restart_policy=twice),
        "failed": boxes.make("failed", "exit 3"),
        "gave-up": boxes.make("gave-up", "exit 3", restart_policy=twice),
        "looping": boxes.make("looping", "exit 4", restart_policy={"Name": "always"}),
        "no-memory": boxes.make(
            "no-memory", GREEDY, mem_limit="8m", memswap_limit="8m", restart_policy=twice
        ),
        "stopped": boxes.make("stopped", restart_policy={"Name": "unless-stopped"}),
        "killed": boxes.make("killed", restart_policy=twice),
    }
    boxes.client.pause(made["paused"])
    boxes.client.stop(made["stopped"], timeout=0)
    boxes.client.kill(made["killed"])

    def settled() -> bool:
        states = {name: boxes.state(container) for name, container in made.items()}
        return (
            states["healthy"]["Health"]["Status"] == "healthy"
            and states["sick"]["Health"]["Status"] == "unhealthy"
            and all(
                states[n]["Status"] == "exited"
                for n in ("finished", "failed", "gave-up", "no-memory", "killed")
            )
            and boxes.client.inspect_container(made["looping"])["RestartCount"] >= 4
        )

    wait_until(settled, description="every container to reach its state")
    found = judged(boxes, clock.utcnow() + timedelta(seconds=60))  # by then none is taken for just made
    assert {name: condition.value for name, (condition, _) in found.items()} == {
        "healthy": "well",
        "sick": "sick",
        "starting": "starting",
        "plain": "well",
        "created": "resting",
        "paused": "paused",
        "finished": "resting",
        "failed": "resting",
        "gave-up": "sick",
        "looping": "sick",
        "no-memory": "sick",
        "stopped": "resting",
        "killed": "resting",
    }
    assert found["gave-up"][1] == "the engine gave up after 2 times, exit code 3"
    assert found["no-memory"][1] == "the engine gave up after 2 times, exit code 137 (out of memory)"
    assert found["looping"][1].startswith("restart-looping")
    assert found["stopped"][1] == "stopped on purpose"


def test_a_looping_container_is_seen_also_while_it_runs_for_a_moment(boxes: Boxes) -> None:
    container = boxes.make("looping", "sleep 0.7; exit 4", restart_policy={"Name": "always"})
    engine = engines.DockerEngine("local", "unix:///var/run/docker.sock")

    def found() -> bool:
        seen = engine.inspect(container)
        return seen is not None and seen.state == "running" and seen.restarts >= 3

    wait_until(found, description="the fourth life of the container", timeout_seconds=60)
    a_minute_later = clock.utcnow() + timedelta(seconds=60)  # not to be taken for its first start
    assert judged(boxes, a_minute_later)["looping"][0] is Condition.SICK
    engine.close()


def test_an_ended_container_is_started_again_by_the_restart(
    boxes: Boxes, cycle: Callable[..., HealingReport]
) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 1}
    container = boxes.make("job", "test -e /again && sleep 600; exit 3", restart_policy=policy)
    wait_until(lambda: boxes.state(container)["Status"] == "exited", description="the engine to give up")
    boxes.client.put_archive(container, "/", _tar_with("again"))
    cycle()
    report = cycle(config={"verify_max_seconds": 2})
    assert report.containers[0].action == "restarted, well again"
    assert boxes.state(container)["Running"]


def _tar_with(name: str) -> bytes:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def test_a_container_removed_between_listing_and_looking_is_no_error(
    boxes: Boxes, cycle: Callable[..., HealingReport]
) -> None:
    container = unhealthy(boxes)

    class Slow(engines.DockerEngine):
        """Somebody removes the container after it was listed."""

        def containers(self, only_label: str | None = None) -> list[Listed]:
            found = super().containers(only_label)
            boxes.remove(container)
            return found

    report = cycle([Slow("local", "unix:///var/run/docker.sock")])
    assert (report.outcome, report.problems) == (Outcome.NO_INPUT, ())


def test_a_container_removed_before_its_restart_closes_the_case(
    boxes: Boxes, cycle: Callable[..., HealingReport], database: Database
) -> None:
    container = unhealthy(boxes)
    cycle()

    class Slow(engines.DockerEngine):
        """Somebody removes the container after it was looked at."""

        def restart(self, container_id: str, stop_timeout_seconds: int) -> Any:
            boxes.remove(container)
            return super().restart(container_id, stop_timeout_seconds)

    report = cycle([Slow("local", "unix:///var/run/docker.sock")])
    assert report.containers[0].action == "restart gone"
    assert report.outcome is Outcome.COMPLETED
    assert database.strikes.open_cases(clock.utcnow()) == []


def test_dependents_by_compose_labels_are_not_restarted(
    boxes: Boxes, cycle: Callable[..., HealingReport]
) -> None:
    def service_labels(name: str, needs: str = "") -> dict[str, str]:
        base = "com.docker.compose"
        return {f"{base}.project": "shop", f"{base}.service": name, f"{base}.depends_on": needs}

    database = unhealthy(boxes, "db", labels=service_labels("db"))
    app = unhealthy(boxes, "app", labels=service_labels("app", "db:service_healthy:true"))
    before = boxes.state(app)["StartedAt"], boxes.state(database)["StartedAt"]
    cycle()
    report = cycle()
    assert (report.unhealthy, report.actions_taken) == (2, 1)
    assert boxes.state(app)["StartedAt"] == before[0]
    assert boxes.state(database)["StartedAt"] > before[1]


def test_a_dry_run_leaves_engine_and_database_as_they_are(
    boxes: Boxes, cycle: Callable[..., HealingReport], database: Database
) -> None:
    container = unhealthy(boxes)
    began = boxes.state(container)["StartedAt"]
    reports = [cycle(dry_run=True) for _ in range(3)]
    assert reports[2].containers[0].action == "would count strike 1 of 3"
    assert boxes.state(container)["StartedAt"] == began
    assert database.strikes.open_cases(clock.utcnow()) == []


def test_a_label_of_the_container_forbids_its_restart(
    boxes: Boxes, cycle: Callable[..., HealingReport], notifier: FakeNotifier
) -> None:
    container = unhealthy(boxes, labels={"aegis.restart": RestartRule.NEVER.value, "aegis.strikes": "2"})
    began = boxes.state(container)["StartedAt"]
    cycle()
    cycle()
    assert boxes.state(container)["StartedAt"] == began
    assert len(notifier.sent) == 1


# --- two workers at once ---


def at_once(settings: DatabaseSettings, count: int, act: Callable[[Database], Any]) -> list[Any]:
    """The answers of `count` processes' worth of connections that act in the same moment."""
    gate = threading.Barrier(count)

    def one() -> Any:
        with db.connect(settings) as opened:
            gate.wait(timeout=30)
            return act(opened)

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(count)]]


def test_claims_are_won_by_exactly_one(database_settings: DatabaseSettings, database: Database) -> None:
    now = datetime(2026, 1, 25, 12, tzinfo=UTC)
    interval = lease = timedelta(seconds=240)
    web = Listed(engine="local", id="a", name="web", state="running", created_at=now)
    for strike in range(1, 6):
        moment = now + timedelta(minutes=5 * strike)
        answers = at_once(
            database_settings, 8, lambda db, m=moment: db.strikes.claim_strike(web, "sick", m, interval)
        )
        assert [case.strikes for case in answers if case is not None] == [strike]
    (case,) = database.strikes.open_cases(now)
    for act in (
        lambda db: db.strikes.claim_restart(case, now, 3, lease),
        lambda db: db.strikes.claim_notice(case, Notice.ESCALATION, now, lease),
        lambda db: db.strikes.count_healthy(case, now, interval),
        lambda db: db.strikes.quarantine(case, now),
        lambda db: db.strikes.mark_recovered(case, now),
        lambda db: db.strikes.claim_notice(case, Notice.RECOVERY, now, lease),
        lambda db: db.strikes.close(case),
    ):
        assert len([answer for answer in at_once(database_settings, 8, act) if answer]) == 1


def test_two_workers_count_one_strike_restart_once_and_call_once(
    database_settings: DatabaseSettings, database: Database
) -> None:
    now = datetime(2026, 1, 25, 12, tzinfo=UTC)
    engine = FakeEngine(clock=lambda: now)
    for number in range(5):
        box = engine.add(f"web-{number}", health="unhealthy")
        box.after_restart = [box.now.model_copy(update={"started_at": now})] * 100
    notifier = FakeNotifier()
    everything = {"strike_interval": timedelta(seconds=240), "dry_run": False, "sleep": lambda _: None}
    for run in range(3):
        reports = at_once(
            database_settings,
            2,
            lambda db, r=run: service.run_cycle(
                [engine], db.strikes, db.memory, notifier, ContainersConfig(),
                now=now + timedelta(minutes=5 * r), **everything,
            ),
        )  # fmt: skip
        cases = database.strikes.open_cases(now)
        assert [case.strikes for case in cases] == [run + 1] * 5
        assert sum(report.actions_taken for report in reports) == (5 if run == 1 else 0)
    assert sorted(name for name, _ in engine.restarted) == [f"web-{n}" for n in range(5)]
    assert sorted(m.title for m in notifier.sent) == [f"Container web-{n} needs a human" for n in range(5)]
    outcomes = database.connection.execute("SELECT DISTINCT outcome FROM container_restarts").fetchall()
    assert [row["outcome"] for row in outcomes] == [RestartOutcome.STILL_SICK.value]


def test_a_strange_reason_can_be_stored(database: Database) -> None:
    web = Listed(engine="local", id="a", name="web", state="running", created_at=clock.utcnow())
    case = database.strikes.claim_strike(web, "nul \0 and lone \ud800", clock.utcnow(), AT_ONCE)
    assert case is not None
    assert case.reason.startswith("nul ")
