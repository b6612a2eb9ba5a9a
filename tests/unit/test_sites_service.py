"""A round over the sites: what is asked, what is kept, who is told, and what is not said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts.model import Phase, Severity
from aegis_lib.errors import DependencyUnavailable, NotConfigured
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.sites import service
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.sites.seen import Certificate, Failure, FailureKind, Probe, SitesReport
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory
from tests.fakes.sites import FakePages, FakeProber, FakeSiteStore, bad, good

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
AWAY = DependencyUnavailable("Chat", "does not answer.")


def site(name: str = "shop", **entry: Any) -> Site:
    return Site(name=name, **{"url": f"https://{name}.example/", **entry})


class Rig:
    """The service with fakes, a clock that its sleeping moves, and runs five minutes apart."""

    def __init__(self, *sites: Site, **config: Any) -> None:
        self.config = SitesConfig(sites=sites or (site(),), **config)
        self.prober, self.pages, self.store = FakeProber(), FakePages(), FakeSiteStore()
        self.memory, self.notifier = FakeMemory(NOON), FakeNotifier()
        self.now = NOON
        self.clock = 0.0
        self.slept: list[float] = []

    def run(self, says: Callable[[str, int], Probe] | None = None, **more: Any) -> SitesReport:
        if says is not None:
            self.prober.says = says
        try:
            return service.run(
                self.prober, self.pages, self.store, self.memory, self.notifier, self.config,
                now=self.now, sleep=self._sleep, monotonic=lambda: self.clock, **more,
            )  # fmt: skip
        finally:
            self.now += timedelta(minutes=5)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]


def failing(*names: str) -> Callable[[str, int], Probe]:
    return lambda name, _attempt: bad(name) if not names or name in names else good(name)


def fine(name: str, _attempt: int) -> Probe:
    return good(name)


# --- looking ---


def test_a_good_site_is_looked_at_once_and_nobody_is_told() -> None:
    rig = Rig()
    report = rig.run()
    assert (report.outcome, report.summary) == (Outcome.COMPLETED, "1 checked, 0 down.")
    assert (report.checked, report.up, report.down) == (1, 1, 0)
    assert rig.prober.asked == [["shop"]]
    assert (rig.notifier.sent, rig.memory.recorded, rig.slept) == ([], [], [])


def test_a_failure_is_tried_again_before_it_counts() -> None:
    rig = Rig(site("a"), site("b"), attempts=3, retry_seconds=2)
    rig.run(lambda name, attempt: bad(name) if name == "a" and attempt < 3 else good(name))
    assert rig.prober.asked == [["a", "b"], ["a"], ["a"]]
    assert rig.slept == [2, 2]
    kept = {check.site: check for check in rig.store.checks}
    assert (kept["a"].ok, kept["a"].attempts, kept["b"].attempts) == (True, 3, 1)


def test_what_we_refuse_to_ask_is_not_tried_again() -> None:
    rig = Rig()
    rig.run(lambda name, _: bad(name, Failure(kind=FailureKind.REFUSED_ADDRESS, words="private")))
    assert rig.prober.asked == [["shop"]]


def test_a_failure_counts_when_there_is_no_time_to_try_again() -> None:
    rig = Rig(time_limit_seconds=10, retry_seconds=20)
    rig.run(failing())
    assert rig.prober.asked == [["shop"]]
    assert [check.ok for check in rig.store.checks] == [False]


def test_a_failure_counts_when_the_second_attempt_is_not_reached() -> None:
    rig = Rig(site("a"), site("b"))

    def says(name: str, attempt: int) -> Probe:
        if name == "a":
            rig.prober.unreached = {"a"}
        return bad(name)

    report = rig.run(says)
    assert {check.site: check.attempts for check in rig.store.checks} == {"a": 1, "b": 2}
    assert report.unchecked == 0


def test_who_is_not_reached_in_time_is_said_and_comes_first_next_time() -> None:
    rig = Rig(site("a"), site("b"))
    rig.prober.unreached = {"a"}
    report = rig.run()
    assert (report.outcome, report.unchecked) == (Outcome.DEGRADED, 1)
    assert "1 not reached in time" in report.summary
    rig.prober.unreached = set()
    assert rig.run().checked == 2
    assert rig.prober.asked[-1] == ["a", "b"]


def test_a_run_again_at_once_asks_nobody() -> None:
    rig = Rig()
    rig.run()
    rig.now -= timedelta(minutes=4)
    report = rig.run()
    assert report.summary == "No site is due."
    assert len(rig.prober.asked) == 1


def test_only_sites_of_a_tag_are_looked_at_and_the_others_stay_known() -> None:
    rig = Rig(site("a", tags=("shop",)), site("b"))
    rig.run()
    assert rig.run(only_tag="shop").checked == 1
    assert set(rig.store.states) == {"a", "b"}


# --- incidents ---


def test_the_life_of_an_incident_is_told_once_each() -> None:
    rig = Rig()
    reports = [rig.run(failing()) for _ in range(4)]
    assert [report.opened for report in reports] == [(), ("shop",), (), ()]
    ends = [rig.run(fine) for _ in range(3)]
    assert [report.closed for report in ends] == [(), ("shop",), ()]
    begin, over = rig.notifier.sent
    assert (begin.title, begin.severity, begin.phase) == ("Site shop is down", Severity.CRITICAL, Phase.BEGIN)
    assert "refused the connection to port 443" in begin.body
    assert "Failing since 2026-01-25T12:00:03Z, 2 checks in a row." in begin.body
    assert (over.title, over.severity, over.phase) == ("Site shop is up again", Severity.INFO, Phase.OVER)
    assert "(19 min)" in over.body
    assert begin.problem == over.problem is not None
    assert [(e.event_type, e.importance) for e in rig.memory.recorded] == [
        ("site_check", Importance.CRITICAL),
        ("site_check", Importance.MEDIUM),
    ]


def test_a_warning_site_alerts_with_less_urgency() -> None:
    rig = Rig(site(severity="warning"), failures=1, of_checks=1)
    rig.run(failing())
    assert rig.notifier.sent[0].severity is Severity.WARNING
    assert rig.memory.recorded[0].importance is Importance.MEDIUM


def test_what_was_not_delivered_is_told_by_the_next_run() -> None:
    rig = Rig(failures=1, of_checks=1, recover_after=1)
    rig.notifier.broken = AWAY
    report = rig.run(failing())
    assert report.outcome is Outcome.DEGRADED
    assert "Site shop is down: not delivered, tried again in the next run: Chat" in report.summary
    assert (report.opened, rig.memory.recorded) == ((), [])
    rig.notifier.broken = None
    assert rig.run(failing()).opened == ("shop",)
    rig.notifier.broken = AWAY
    assert rig.run(fine).closed == ()
    rig.notifier.broken = None
    assert rig.run(fine).closed == ("shop",)
    assert rig.titles == ["Site shop is down", "Site shop is up again"]


def test_what_a_dead_run_claimed_is_told_after_a_while() -> None:
    rig = Rig(failures=1, of_checks=1)
    rig.notifier.broken = AWAY
    rig.run(failing())
    rig.notifier.broken = None
    rig.store.claim_news(NOON + timedelta(minutes=3), service.LEASE, None)  # and dies
    assert rig.run(failing()).opened == ()
    assert rig.run(failing()).opened == ("shop",)


def test_what_was_over_before_it_could_be_told_is_not_told() -> None:
    rig = Rig(failures=1, of_checks=1, recover_after=1)
    rig.notifier.broken = AWAY
    rig.run(failing())
    rig.run(fine)
    rig.notifier.broken = None
    rig.run(fine)
    assert rig.titles == []
    assert all(one.closing_told_at for one in rig.store.incidents.values())


def test_people_are_reminded_of_what_goes_on() -> None:
    rig = Rig(failures=1, of_checks=1, reminder_hours=1)
    for _ in range(26):
        rig.run(failing())
    assert rig.titles == ["Site shop is down", "Site shop still is down", "Site shop still is down"]
    assert [message.phase for message in rig.notifier.sent[1:]] == [Phase.AGAIN] * 2
    assert len({message.key for message in rig.notifier.sent}) == 3
    rig = Rig(failures=1, of_checks=1, reminder_hours=0)
    for _ in range(26):
        rig.run(failing())
    assert rig.titles == ["Site shop is down"]


def test_many_at_once_are_one_alert_that_ends_with_the_last() -> None:
    names = [f"s{n:02}" for n in range(40)]
    rig = Rig(*(site(name) for name in names), failures=1, of_checks=1, recover_after=1)
    rig.run(failing())
    (begin,) = rig.notifier.sent
    assert begin.title == "40 sites are down"
    assert "s29" in begin.body
    assert "s30" not in begin.body
    assert "and 10 more" in begin.body
    assert "No site answers at all: look at the network" in begin.body
    rig.run(failing("s07"))
    assert rig.titles == ["40 sites are down"]
    rig.run(fine)
    assert rig.titles == ["40 sites are down", "All 40 sites are up again"]
    assert rig.notifier.sent[1].problem == begin.problem
    assert len(rig.memory.recorded) == 3


def test_many_that_go_on_are_one_reminder() -> None:
    rig = Rig(*(site(f"s{n}") for n in range(6)), failures=1, of_checks=1, reminder_hours=0.1)
    rig.run(failing())
    rig.now += timedelta(minutes=10)
    rig.run(failing())
    assert rig.titles == ["6 sites are down", "6 sites are down still"]


def test_a_site_that_is_no_longer_watched_ends_its_incident() -> None:
    rig = Rig(site("a"), site("b"), failures=1, of_checks=1)
    rig.run(failing("a"))
    rig.config = SitesConfig(sites=(site("b"),))
    report = rig.run(fine)
    assert rig.titles == ["Site a is down", "Site a is up again"]
    assert "the site is no longer watched" in rig.notifier.sent[1].body
    assert report.closed == ("a",)
    assert set(rig.store.states) == {"b"}


def test_without_sites_the_job_is_not_configured_but_ends_what_was_open() -> None:
    rig = Rig(failures=1, of_checks=1)
    rig.run(failing())
    rig.config = SitesConfig()
    with pytest.raises(NotConfigured, match=r"set sites.sites in aegis.yaml to the websites to check"):
        rig.run()
    assert rig.store.open_incidents() == []
    assert len(rig.titles) == 2


def test_two_runs_at_once_say_everything_once() -> None:
    rig = Rig(failures=1, of_checks=1)
    other = Rig(failures=1, of_checks=1)
    other.store = rig.store

    def meanwhile(name: str, _attempt: int) -> Probe:
        if not other.prober.asked:
            other.run(failing())
        return bad(name)

    report = rig.run(meanwhile)
    assert other.titles == ["Site shop is down"]
    assert (rig.titles, report.checked) == ([], 0)
    assert len(rig.store.checks) == 1


def test_a_database_that_is_away_is_no_finding() -> None:
    rig = Rig()
    rig.store.broken = DependencyUnavailable("PostgreSQL", "is away.")
    with pytest.raises(DependencyUnavailable):
        rig.run()
    assert rig.prober.asked == []


def test_a_memory_that_is_away_is_said_and_stops_nothing() -> None:
    rig = Rig(failures=1, of_checks=1)
    rig.memory.broken = DependencyUnavailable("PostgreSQL", "is away.")
    report = rig.run(failing())
    assert report.opened == ("shop",)
    assert "not recorded in the episodic memory" in report.summary


# --- untrusted words ---


def test_what_a_site_says_is_harmless_in_messages() -> None:
    evil = "@everyone [x](http://evil.example/)\n# big \u202e"
    rig = Rig(site(contains=("good",)), failures=1, of_checks=1)
    rig.run(lambda name, _: bad(name, Failure(kind=FailureKind.BROKEN, words=evil)))
    (message,) = rig.notifier.sent
    assert r"\@everyone \[x\]" in message.body
    assert "http://" not in message.body
    assert "\u202e" not in message.body
    assert "\n#" not in message.body


# --- pages ---


def pages(*bodies: str) -> list[Callable[[str, int], Probe]]:
    return [lambda name, _attempt, body=body: good(name, body=body.encode()) for body in bodies]  # type: ignore[misc]


def run_all(rig: Rig, says: Sequence[Callable[[str, int], Probe]]) -> list[tuple[str, ...]]:
    return [rig.run(one).changed for one in says]


def test_a_change_of_a_page_is_told_once_with_what_differs() -> None:
    rig = Rig(site(content={"watch": True}))
    assert run_all(rig, pages("one", "one", "two", "two")) == [(), (), ("shop",), ()]
    (message,) = rig.notifier.sent
    assert (message.title, message.severity, message.problem) == ("Site shop changed", Severity.INFO, None)
    assert "> - one\n> + two" in message.body
    assert [event.event_type for event in rig.memory.recorded] == ["site_change"]


def test_a_page_is_read_only_where_it_is_watched_and_good() -> None:
    rig = Rig(site(contains=("x",)), site("b", content={"watch": True}))
    rig.run(lambda name, _: good(name, body=b"y", status=500 if name == "b" else 200))
    assert rig.store.pages == {}


def test_a_page_that_cannot_be_read_is_said_and_harms_no_other() -> None:
    rig = Rig(site(content={"watch": True}))
    rig.pages.broken = RecursionError("deep")
    report = rig.run(pages("one")[0])
    assert report.outcome is Outcome.DEGRADED
    assert "shop: what its page says could not be read: RecursionError" in report.summary
    assert report.up == 1


def test_a_change_that_was_not_delivered_is_told_by_the_next_run() -> None:
    rig = Rig(site(content={"watch": True}))
    one, two = pages("one", "two")
    rig.run(one)
    rig.notifier.broken = AWAY
    assert "Site shop changed: not delivered" in rig.run(two).summary
    rig.notifier.broken = None
    rig.run(two)
    assert rig.titles == ["Site shop changed"]


def test_pages_that_are_too_large_together_are_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aegis_lib.sites.examination.LARGEST_PAGES_BYTES", 10)
    rig = Rig(*(site(name, content={"watch": True}) for name in ("a", "b", "c")))
    report = rig.run(pages("12345")[0])
    assert "1 pages were put off to the next run" in report.summary
    assert len(rig.store.pages) == 2


# --- certificates ---


def test_a_certificate_that_ends_is_told_before_it_does() -> None:
    rig = Rig()
    ends = NOON + timedelta(days=5)
    rig.run(lambda name, _: good(name, certificate=Certificate(expires_at=ends)))
    (message,) = rig.notifier.sent
    assert message.title == "Site shop has a certificate that ends soon"
    assert message.severity is Severity.WARNING
    assert "ends in 5 days, at 2026-01-30T12:00:00Z" in message.body.replace("\\", "")
    rig.run(lambda name, _: good(name, certificate=Certificate(expires_at=ends + timedelta(days=90))))
    assert rig.titles[1] == "Site shop has certificates for long enough"
