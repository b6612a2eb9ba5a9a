"""A cycle against fakes: what was done, in which order, and what was not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts.model import Phase
from aegis_lib.containers import service
from aegis_lib.containers.model import (
    ContainerRule,
    ContainersConfig,
    HealingReport,
    HealthCheck,
    Inspected,
    RestartAnswer,
    RestartOutcome,
)
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from tests.fakes.alerts import FakeNotifier
from tests.fakes.containers import Box, FakeEngine, FakeStrikes
from tests.fakes.memory import FakeMemory

START = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
CHECK = HealthCheck(interval_seconds=5, timeout_seconds=5, retries=3)
FIVE_MINUTES = 300.0


class World:
    """Fakes and a clock that only moves when told, or when the service sleeps."""

    def __init__(self, **config: Any) -> None:
        self.seconds = 0.0
        self.engine = FakeEngine(clock=lambda: self.now)
        self.engines = [self.engine]
        self.strikes, self.memory, self.notifier = FakeStrikes(), FakeMemory(), FakeNotifier()
        self.config = ContainersConfig(**config)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def cycle(self, dry_run: bool = False, **options: Any) -> HealingReport:
        """One run; afterwards five minutes have passed since it began."""
        began = self.seconds
        report = service.run_cycle(
            self.engines, self.strikes, self.memory, self.notifier, self.config, self.now, dry_run,
            sleep=self.sleep, monotonic=lambda: self.seconds, **options,
        )  # fmt: skip
        self.seconds = began + FIVE_MINUTES
        return report

    def cycles(self, count: int) -> HealingReport:
        return [self.cycle() for _ in range(count)][-1]

    def sick(self, name: str = "web", **seen: Any) -> Box:
        usual = {"health": "unhealthy", "check": CHECK, "exit_code": 0}
        box = self.engine.add(name, **{**usual, **seen})
        box.after_restart = [box.now.model_copy(update={"started_at": START + timedelta(days=1)})] * 50
        return box

    def action(self, report: HealingReport, name: str = "web") -> str:
        return next(row.action for row in report.containers if row.container == name)


def test_a_sick_container_is_logged_then_restarted_then_a_human_is_called() -> None:
    world = World()
    world.sick().output = "one\ntwo\n"

    first = world.cycle()
    assert (first.healthy, first.unhealthy, first.actions_taken, first.escalations) == (0, 1, 0, ())
    assert world.action(first) == "strike 1: logged"
    assert world.strikes.written == ["strike 1 web"]
    assert (world.engine.restarted, world.notifier.sent) == ([], [])

    second = world.cycle()
    assert (second.actions_taken, second.escalations) == (1, ())
    assert world.action(second) == "restarted, still sick"
    assert world.strikes.written[1:] == ["strike 2 web", "restart web"]
    assert world.engine.restarted == [("web", 10)]
    assert world.notifier.sent == []

    third = world.cycle()
    assert (third.actions_taken, third.escalations) == (0, ("web",))
    assert world.strikes.written[3:] == ["strike 3 web", "claim escalation web", "delivered escalation web"]
    assert world.engine.restarted == [("web", 10)]
    (message,) = world.notifier.sent
    assert message.title == "Container web needs a human"
    assert "one\ntwo" in message.body
    assert "Restarted, stayed sick" in message.body

    fourth = world.cycle()
    assert world.action(fourth) == "waiting for a human"
    assert (len(world.notifier.sent), len(world.strikes.written)) == (1, 6)


def test_a_healthy_engine_is_read_once_and_nothing_is_written() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.engine.add(name, health="healthy")
    world.engine.add("done", state="exited")
    report = world.cycle()
    assert report.summary == "3 healthy, 0 unhealthy."
    assert report.outcome is Outcome.COMPLETED
    assert world.engine.inspected == []
    assert world.strikes.written == []
    assert world.memory.recorded == []


def test_a_dry_run_says_what_it_would_do_and_does_nothing() -> None:
    world = World()
    world.sick()
    said = []
    for _ in range(3):
        before = list(world.strikes.written), len(world.notifier.sent), len(world.memory.recorded)
        said.append(world.action(world.cycle(dry_run=True)))
        assert (world.strikes.written, len(world.notifier.sent), len(world.memory.recorded)) == before
        assert world.engine.restarted == []
        world.cycle()
        world.engine.restarted.clear()
    assert said == ["would count strike 1 of 3", "would count strike 2 of 3", "would count strike 3 of 3"]
    assert world.cycle(dry_run=True).dry_run


def test_a_restart_that_heals_is_verified_and_the_case_is_closed_after_healthy_cycles() -> None:
    world = World(healthy_cycles_to_clear=2)
    box = world.sick()
    starting = box.now.model_copy(update={"started_at": START + timedelta(seconds=301), "health": "starting"})
    healthy = starting.model_copy(update={"health": "healthy"})
    box.after_restart = [starting, starting, healthy]
    world.cycle()
    report = world.cycle()
    assert world.action(report) == "restarted, well again"
    assert world.strikes.restarts[0].outcome is RestartOutcome.VERIFIED
    assert world.strikes.restarts[0].verified_at is not None
    assert world.action(world.cycle()) == "healthy cycle 1 of 2"
    assert world.action(world.cycle()) == "healthy: strikes forgotten"
    assert world.strikes.cases == {}
    assert world.notifier.sent == []


def test_verification_gives_up_after_the_containers_own_time() -> None:
    world = World()
    box = world.sick()
    box.after_restart = [
        box.now.model_copy(update={"started_at": START + timedelta(days=1), "health": "starting"})
    ] * 100
    world.cycle()
    report = world.cycle()
    assert world.action(report) == "restarted, not healthy within 30 s"
    assert world.strikes.restarts[0].outcome is RestartOutcome.UNVERIFIED


def test_several_restarted_containers_are_awaited_together() -> None:
    world = World()
    for name in ("a", "b", "c"):
        box = world.sick(name)
        box.after_restart = [
            box.now.model_copy(update={"started_at": START + timedelta(days=1), "health": "starting"})
        ] * 100
    world.cycle()
    began = world.seconds
    moments: list[float] = []
    plain = world.sleep
    world.sleep = lambda seconds: (moments.append(world.seconds - began), plain(seconds))[1]  # type: ignore[method-assign]
    assert world.cycle().actions_taken == 3
    assert max(moments) < 31


def test_only_so_many_restarts_are_done_in_one_run_and_the_rest_in_the_next() -> None:
    world = World(restarts_per_cycle=2)
    for name in ("a", "b", "c"):
        world.sick(name)
    world.cycle()
    assert world.cycle().actions_taken == 2
    assert [name for name, _ in world.engine.restarted] == ["a", "b"]
    last = world.cycle()
    assert [name for name, _ in world.engine.restarted] == ["a", "b", "c"]
    assert last.escalations == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "cycles_to_call"), [({"aegis.restart": "never"}, 3), ({"aegis.restart": "alert-only"}, 2)]
)
def test_a_container_that_must_not_be_restarted_is_only_reported(
    labels: dict[str, str], cycles_to_call: int
) -> None:
    world = World()
    world.sick().labels = labels
    reports = [world.cycle() for _ in range(cycles_to_call)]
    assert [r.escalations for r in reports] == [()] * (cycles_to_call - 1) + [("web",)]
    assert world.engine.restarted == []
    assert "Not restarted (policy" in world.notifier.sent[0].body


def test_this_very_container_is_never_restarted() -> None:
    world = World()
    world.sick().itself = True
    reports = [world.cycle() for _ in range(3)]
    assert world.action(reports[1]) == "strike 2: no restart (protected: this job runs in it)"
    assert world.engine.restarted == []
    assert len(world.notifier.sent) == 1


def test_a_container_over_its_budget_is_quarantined_and_a_human_is_called() -> None:
    world = World(restarts_per_day=1, healthy_cycles_to_clear=1)
    world.sick()
    world.cycles(2)
    world.engine.boxes["id-web"].now = world.engine.boxes["id-web"].now.model_copy(
        update={"health": "healthy"}
    )
    world.engine.boxes["id-web"].after_restart = []
    world.cycle()
    assert world.strikes.cases == {}

    world.engine.remove("web")
    world.sick(id="id-recreated")  # the same name; the budget is the name's
    reports = [world.cycle() for _ in range(3)]
    assert reports[1].escalations == ("web",)
    assert "quarantine web" in world.strikes.written
    assert len(world.engine.restarted) == 1
    assert "Quarantined: 1 restarts in 24 hours, 1 are allowed" in world.notifier.sent[0].body
    assert world.action(reports[2]) == "waiting for a human"


def test_the_budget_is_renewed_after_a_day() -> None:
    world = World(restarts_per_day=1)
    world.sick()
    world.cycles(2)
    world.strikes.cases.clear()
    world.seconds += 86_400
    world.engine.restarted.clear()
    world.cycles(2)
    assert len(world.engine.restarted) == 1


def test_a_recreated_container_starts_anew() -> None:
    world = World()
    world.sick()
    world.cycles(2)
    world.engine.remove("web")
    world.sick(id="id-new")
    report = world.cycle()
    assert world.action(report) == "strike 1: logged"
    assert world.notifier.sent == []


def test_a_recreated_healthy_container_closes_the_case_of_the_old_one() -> None:
    world = World()
    world.sick()
    world.cycles(2)
    world.engine.remove("web")
    world.engine.add("web", id="id-new", health="healthy")
    world.cycle()
    assert world.strikes.cases == {}


def test_a_removed_container_closes_its_case() -> None:
    world = World()
    world.sick()
    world.engine.add("other")
    world.cycle()
    world.engine.remove("web")
    world.cycle(dry_run=True)
    assert len(world.strikes.cases) == 1
    world.cycle()
    assert world.strikes.cases == {}
    assert world.memory.recorded[-1].summary == "web is gone"


def test_a_case_outside_the_label_that_is_asked_for_is_left_alone() -> None:
    world = World()
    world.sick()
    world.engine.add("other", labels={"team": "a"})
    world.cycle()
    report = world.cycle(only_label="team=a")
    assert [row.container for row in report.containers] == ["other"]
    assert len(world.strikes.cases) == 1


def test_a_container_that_is_ignored_from_now_on_loses_its_case() -> None:
    world = World()
    world.sick()
    world.cycle()
    world.engine.boxes["id-web"].labels = {"aegis.ignore": "true"}
    report = world.cycle()
    assert report.containers == ()
    assert world.strikes.cases == {}


def test_a_container_removed_after_the_listing_is_no_error() -> None:
    world = World()
    world.sick()
    world.engine.add("other")
    world.engine.vanishing = {"web"}
    report = world.cycle()
    assert report.outcome is Outcome.COMPLETED
    assert [row.container for row in report.containers] == ["other"]


def test_a_container_removed_after_the_listing_is_gone_for_its_case_too() -> None:
    world = World()
    world.sick()
    world.engine.add("other")
    world.cycle()
    world.engine.vanishing = {"web"}
    world.cycle()
    assert world.memory.recorded[-1].summary == "web is gone"


def test_a_container_removed_before_its_restart_is_no_error() -> None:
    world = World()
    box = world.sick()
    world.cycle()
    box.restart_answer = RestartAnswer(outcome=RestartOutcome.GONE)
    report = world.cycle()
    assert world.action(report) == "restart gone"
    assert report.outcome is Outcome.COMPLETED
    assert world.strikes.cases == {}


def test_a_refused_restart_is_said_and_leads_to_a_human() -> None:
    world = World()
    box = world.sick()
    world.cycle()
    box.restart_answer = RestartAnswer(outcome=RestartOutcome.REFUSED, detail="port is\x1b[31m taken")
    assert world.action(world.cycle()) == "restart refused: port is taken"
    assert world.cycle().escalations == ("web",)
    assert "The engine refused the restart" in world.notifier.sent[0].body


def test_an_engine_that_dies_during_the_restart_leaves_the_container_to_be_restarted_once_more() -> None:
    world = World()
    box = world.sick()
    world.cycle()
    box.restart_error = DependencyUnavailable("Docker engine local", "no answer.")
    report = world.cycle()
    assert report.outcome is Outcome.DEGRADED
    box.restart_error = None
    world.cycle()
    assert world.engine.restarted == [("web", 10)]
    assert world.notifier.sent == []


def test_a_process_that_dies_between_claim_and_restart_neither_doubles_nor_loses_it() -> None:
    world = World()
    world.sick()
    world.cycle()
    case = world.strikes.open_cases(world.now)[0]
    listed = world.engine.containers()[0]
    case = world.strikes.claim_strike(listed, "sick", world.now, timedelta(0)) or case
    assert world.strikes.claim_restart(case, world.now, 3, timedelta(seconds=240)) == 1  # ... and dies

    world.seconds += 100  # a retry of the run
    assert world.action(world.cycle()) == "a restart is under way"
    assert world.engine.restarted == []
    world.cycle()
    assert world.engine.restarted == [("web", 10)]
    assert [row.outcome for row in world.strikes.restarts] == [
        RestartOutcome.INTERRUPTED,
        RestartOutcome.STILL_SICK,
    ]


def test_the_container_asks_for_its_own_time_to_stop() -> None:
    world = World()
    world.sick("patient", stop_timeout_seconds=45)
    world.sick("stubborn", stop_timeout_seconds=600)
    world.cycles(2)
    assert world.engine.restarted == [("patient", 45), ("stubborn", 60)]


def test_dependents_are_not_counted_and_are_named_in_the_message() -> None:
    world = World()
    world.sick("db")
    world.sick("app").labels = {"aegis.depends-on": "db"}
    reports = [world.cycle() for _ in range(3)]
    assert reports[2].unhealthy == 2
    assert [name for name, _ in world.engine.restarted] == ["db"]
    assert {key[1] for key in world.strikes.cases} == {"db"}
    assert "Sick because they depend on it: app" in world.notifier.sent[0].body


@pytest.mark.parametrize("state", [{"state": "paused"}, {"health": "starting", "started_at": START}])
def test_a_paused_or_starting_container_neither_counts_nor_heals(state: dict[str, Any]) -> None:
    world = World(healthy_cycles_to_clear=1)
    box = world.sick()
    world.cycle()
    before = list(world.strikes.written)
    box.now = box.now.model_copy(update={**state, "started_at": world.now})
    report = world.cycle()
    assert world.strikes.written == before
    assert (report.healthy, report.unhealthy) == (0, 0)


def test_a_container_stopped_by_a_human_is_left_alone_and_its_case_ends() -> None:
    world = World(healthy_cycles_to_clear=1)
    box = world.sick()
    world.cycles(3)
    box.now = box.now.model_copy(
        update={"state": "exited", "exit_code": 137, "restart_policy": "unless-stopped", "health": None}
    )
    box.after_restart = []
    restarts = len(world.engine.restarted)
    world.cycles(3)
    assert len(world.engine.restarted) == restarts
    assert world.strikes.cases == {}


def test_healthy_cycles_count_only_in_a_row() -> None:
    world = World(healthy_cycles_to_clear=2, strikes=10)
    box = world.sick()
    sick = box.now
    well = sick.model_copy(update={"health": "healthy"})
    for seen in (sick, well, sick, well):
        box.now = seen
        world.cycle()
    assert world.strikes.cases[("local", "web")].healthy_cycles == 1
    assert world.strikes.cases[("local", "web")].strikes == 2


def test_healthy_cycles_count_only_in_a_row_also_while_waiting_for_a_human() -> None:
    world = World(healthy_cycles_to_clear=2)
    box = world.sick()
    world.cycles(3)
    box.after_restart = []
    well = box.now.model_copy(update={"health": "healthy"})
    for seen in (well, box.now, well):
        box.now = seen
        world.cycle()
    assert world.strikes.cases[("local", "web")].healthy_cycles == 1


def test_a_retry_soon_after_counts_nothing_twice() -> None:
    world = World()
    world.sick()
    world.cycle()
    world.seconds -= FIVE_MINUTES - 30
    assert world.action(world.cycle()) == "strike already counted"
    assert world.strikes.written == ["strike 1 web"]


def test_the_strike_interval_is_a_parameter() -> None:
    world = World()
    world.sick()
    for _ in range(3):
        world.cycle(strike_interval=timedelta(seconds=1))
        world.seconds -= FIVE_MINUTES - 2
    assert len(world.notifier.sent) == 1


def test_a_call_that_cannot_be_delivered_is_tried_again_and_recorded_once() -> None:
    world = World()
    world.sick()
    world.cycles(2)
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    third = world.cycle()
    assert third.outcome is Outcome.DEGRADED
    assert third.escalations == ()
    assert "the escalation was not delivered: Discord: no answer." in third.summary
    world.notifier.broken = None
    fourth = world.cycle()
    assert fourth.escalations == ("web",)
    assert len(world.notifier.sent) == 1
    critical = [e for e in world.memory.recorded if e.importance is Importance.CRITICAL]
    assert [e.summary for e in critical] == ["Container web needs a human"]
    assert critical[0].event_type == "docker_health_check"
    assert critical[0].details["strikes"] == 3


def test_a_call_that_failed_is_tried_again_also_by_a_retry_of_the_run() -> None:
    world = World()
    world.sick()
    world.cycles(2)
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    world.cycle()
    world.seconds -= FIVE_MINUTES - 30
    world.notifier.broken = None
    assert world.cycle().escalations == ("web",)


def test_a_process_that_dies_while_calling_neither_doubles_nor_loses_the_call() -> None:
    world = World()
    world.sick()
    world.cycles(2)

    class Killed(BaseException):
        """The process ends here."""

    world.notifier.broken = Killed()  # type: ignore[assignment]
    with pytest.raises(Killed):
        world.cycle()
    world.notifier.broken = None
    world.seconds += 30
    assert world.action(world.cycle()) == "escalation is being sent by another run"
    assert world.notifier.sent == []
    assert world.cycle().escalations == ("web",)


def test_a_message_about_another_engines_container_names_the_engine() -> None:
    world = World(strikes=1)
    nas = FakeEngine("nas", clock=lambda: world.now)
    nas.add("web", health="unhealthy")
    world.engines = [nas]
    world.cycle()
    assert world.notifier.sent[0].title == "Container nas/web needs a human"
    assert "`aegis strikes ack web --engine nas`" in world.notifier.sent[0].body


def test_reminders_come_after_the_configured_time_and_recovery_is_said_once() -> None:
    world = World(reminder_hours=1, healthy_cycles_to_clear=2)
    box = world.sick()
    world.cycles(3)
    world.cycles(11)
    assert len(world.notifier.sent) == 1
    world.cycles(2)
    assert [m.title for m in world.notifier.sent][1:] == ["Container web still needs a human"]
    box.now = box.now.model_copy(update={"health": "healthy"})
    box.after_restart = []
    world.cycles(4)
    assert [m.title for m in world.notifier.sent][2:] == ["Container web is well again"]
    assert world.strikes.cases == {}


def test_a_recovery_that_cannot_be_said_keeps_the_case_until_it_is() -> None:
    world = World(healthy_cycles_to_clear=1)
    box = world.sick()
    world.cycles(3)
    box.now = box.now.model_copy(update={"health": "healthy"})
    box.after_restart = []
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    world.cycle()
    assert len(world.strikes.cases) == 1
    world.notifier.broken = None
    world.cycle()
    assert world.strikes.cases == {}
    assert world.notifier.sent[-1].title == "Container web is well again"


def test_changes_are_recorded_as_one_event_and_quiet_cycles_not_at_all() -> None:
    world = World()
    world.sick("a")
    world.sick("b")
    world.cycle()
    (event,) = world.memory.recorded
    assert event.event_type == "docker_health_check"
    assert event.details["changes"] == [
        "a: strike 1, its health check fails",
        "b: strike 1, its health check fails",
    ]
    world.seconds -= FIVE_MINUTES - 10
    world.cycle()
    assert len(world.memory.recorded) == 1


def test_a_memory_that_cannot_record_does_not_keep_the_human_from_being_called() -> None:
    world = World()
    world.sick()
    world.cycles(2)
    world.memory.broken = DependencyUnavailable("spool", "the disk is full.")
    report = world.cycle()
    assert report.outcome is Outcome.DEGRADED
    assert len(world.notifier.sent) == 1


def test_one_silent_engine_does_not_spoil_the_others() -> None:
    world = World()
    nas = FakeEngine("nas", clock=lambda: world.now)
    nas.broken = DependencyUnavailable("Docker engine nas", "no answer within 10 s.")
    world.engines = [nas, world.engine]
    world.sick()
    report = world.cycle()
    assert report.outcome is Outcome.DEGRADED
    assert report.problems == ("nas: Docker engine nas: no answer within 10 s.",)
    assert world.strikes.written == ["strike 1 web"]


def test_when_no_engine_answers_the_run_fails_and_no_case_is_touched() -> None:
    world = World()
    world.sick()
    world.cycle()
    world.engine.broken = Misconfigured("DOCKER_HOSTS", "this user may not use the socket.")
    with pytest.raises(Misconfigured):
        world.cycle()
    assert world.strikes.written == ["strike 1 web"]


def test_containers_of_other_engines_carry_their_engines_name() -> None:
    world = World()
    nas = FakeEngine("nas", clock=lambda: world.now)
    nas.add("web", health="unhealthy", check=CHECK)
    world.engines = [world.engine, nas]
    world.engine.add("web", health="healthy")
    report = world.cycle()
    assert [(row.container, row.strikes) for row in report.containers] == [("nas/web", "1/3"), ("web", "")]
    assert set(world.strikes.cases) == {("nas", "web")}


def test_a_container_that_cannot_be_inspected_is_said_and_the_others_go_on() -> None:
    world = World()
    world.sick("stuck").inspect_error = DependencyUnavailable("Docker engine local", "no answer within 10 s.")
    world.sick("web")
    report = world.cycle()
    assert report.outcome is Outcome.DEGRADED
    assert world.strikes.written == ["strike 1 web"]


def test_an_engine_silent_about_several_containers_counts_as_silent() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.sick(name).inspect_error = DependencyUnavailable("Docker engine local", "no answer.")
    with pytest.raises(DependencyUnavailable):
        world.cycle()


def test_the_database_being_away_stops_everything_before_any_restart() -> None:
    world = World()
    world.sick()
    world.strikes.broken = DependencyUnavailable("PostgreSQL", "no connection.")
    with pytest.raises(DependencyUnavailable, match="PostgreSQL"):
        world.cycle()
    assert world.engine.restarted == []


def test_no_container_at_all_is_no_input() -> None:
    assert World().cycle().outcome is Outcome.NO_INPUT


def test_the_message_is_harmless_whatever_a_container_prints() -> None:
    world = World()
    box = world.sick()
    box.output = "\x1b[2J\x1b]0;title\x07````\n# heading @everyone\n\u202e" + "x" * 20_000 + "\r\nend"
    box.now = Inspected(**{**box.now.model_dump(), "health_output": "```\n**loud**", "oom_killed": True})
    box.after_restart = [box.now.model_copy(update={"started_at": START + timedelta(days=1)})] * 50
    world.cycles(3)
    body = world.notifier.sent[0].body
    assert "\x1b" not in body
    assert "\u202e" not in body
    assert "````\n```\n**loud**\n````" in body
    assert body.count("x") < 8_100
    assert "xxx\nend" in body
    assert "Killed for lack of memory: yes" in body


def test_a_rule_of_the_configuration_reaches_the_container() -> None:
    world = World(rules=(ContainerRule(name="w?b", strikes=1),))
    world.sick()
    assert world.cycle().escalations == ("web",)


def test_people_who_were_called_are_told_when_the_container_is_removed() -> None:
    world = World()
    world.sick()
    world.cycles(3)
    (call,) = world.notifier.sent
    world.engine.remove("web")
    world.cycles(2)
    assert [message.title for message in world.notifier.sent[1:]] == ["Container web is gone"]
    over = world.notifier.sent[-1]
    assert (over.problem, over.phase) == (call.problem, Phase.OVER)


def test_nobody_is_told_of_the_removal_of_what_nobody_was_called_for() -> None:
    world = World()
    world.sick()
    world.cycle()
    world.engine.remove("web")
    world.cycle()
    assert world.notifier.sent == []


def test_all_messages_about_one_case_are_about_one_problem() -> None:
    world = World(reminder_hours=1)
    box = world.sick()
    world.cycles(20)
    box.now = box.now.model_copy(update={"health": "healthy"})
    box.after_restart = []
    world.cycles(5)
    phases = [message.phase for message in world.notifier.sent]
    assert phases == [Phase.BEGIN, Phase.AGAIN, Phase.OVER]
    assert len({message.problem for message in world.notifier.sent}) == 1
    assert len({message.key for message in world.notifier.sent}) == 3
