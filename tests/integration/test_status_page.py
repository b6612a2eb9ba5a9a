"""The status page over a real PostgreSQL: what each part is read from, and days that are summed up once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_lib.adapters.picture_files import PictureFiles
from aegis_lib.adapters.report_files import ReportFile
from aegis_lib.alerts.model import Problem, Recovered, Severity
from aegis_lib.db.database import Database
from aegis_lib.db.partitions import Partitions
from aegis_lib.db.status_page import CLOSED_KEY
from aegis_lib.ledger.model import CHECKED_KEY, Entry, Planned, TickOutcome
from aegis_lib.schedule import IntervalSchedule
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.status_page import service
from aegis_lib.status_page.model import Section, StatusPageConfig, Stretch

NOW = datetime(2026, 3, 18, 14, 37, tzinfo=UTC)
TODAY = datetime(2026, 3, 18, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SITES = SitesConfig(sites=(Site(name="shop", url="https://shop.example.org/"),))


@pytest.fixture
def db(database: Database) -> Database:
    partitions = Partitions(database.connection)
    partitions.ensure("site_checks", NOW - 2 * DAY, 2)
    for table in ("host_metrics", "container_metrics"):
        partitions.ensure(table, NOW, 0)
    return database


def checked(
    db: Database,
    at: datetime,
    *,
    ok: bool = True,
    site: str = "shop",
    maintenance: bool = False,
    latency_ms: float | None = 120,
) -> None:
    db.connection.execute(
        "INSERT INTO site_checks (site, checked_at, ok, maintenance, latency_ms) VALUES (%s, %s, %s, %s, %s)",
        [site, at, ok, maintenance, latency_ms],
    )


def standing(db: Database, state: str = "up", site: str = "shop") -> None:
    db.connection.execute(
        "INSERT INTO site_states (name, target, state, since, checked_at, latency_ms)"
        " VALUES (%s, %s, %s, %s, %s, 120)",
        [site, f"https://{site}.example.org/", state, NOW - 3 * DAY, NOW - 2 * MINUTE],
    )


def days_of(db: Database) -> list[tuple[datetime, int, int]]:
    return [(one.start, one.checks, one.good) for one in db.status_page.days(NOW - 90 * DAY)]


def test_days_that_are_over_are_summed_up_and_today_is_not(db: Database) -> None:
    for hours in range(1, 70):
        checked(db, NOW - hours * HOUR, ok=hours != 30)
    assert db.status_page.close_days(NOW) == 3
    assert days_of(db) == [
        (TODAY - 3 * DAY, 7, 7),
        (TODAY - 2 * DAY, 24, 24),
        (TODAY - DAY, 24, 23),
    ]
    assert db.status_page.close_days(NOW) == 0


def test_a_closed_day_stays_what_it_was_when_its_checks_are_gone(db: Database) -> None:
    checked(db, NOW - DAY)
    db.status_page.close_days(NOW)
    db.connection.execute("DELETE FROM site_checks")
    db.state.set(CLOSED_KEY, "2026-03-10")
    db.status_page.close_days(NOW)
    assert days_of(db) == [(TODAY - DAY, 1, 1)]


def test_the_day_is_left_open_until_its_last_checks_are_written(db: Database) -> None:
    checked(db, TODAY - 5 * MINUTE)
    assert db.status_page.close_days(TODAY + 29 * MINUTE) == 0
    assert [one.start for one in db.status_page.hours(TODAY + 29 * MINUTE - DAY)] == [TODAY - HOUR]
    assert db.status_page.close_days(TODAY + 31 * MINUTE) == 1


def test_a_long_past_is_summed_up_a_few_days_at_a_time(db: Database) -> None:
    Partitions(db.connection).ensure("site_checks", NOW - 30 * DAY, 0)
    checked(db, NOW - 30 * DAY)
    assert [db.status_page.close_days(NOW) for _ in range(6)] == [7, 7, 7, 7, 2, 0]


def test_checks_in_maintenance_count_neither_way(db: Database) -> None:
    checked(db, NOW - MINUTE)
    checked(db, NOW - 2 * MINUTE, ok=False, maintenance=True)
    assert db.status_page.hours(NOW - DAY) == [
        Stretch(site="shop", start=NOW.replace(minute=0), checks=1, good=1)
    ]


def test_a_check_without_an_answer_is_a_gap_in_the_latency_and_a_wrong_answer_is_none(db: Database) -> None:
    checked(db, NOW - 10 * MINUTE, ok=False, latency_ms=900)
    checked(db, NOW - 5 * MINUTE, ok=False, latency_ms=None)
    checked(db, NOW - 5 * MINUTE, site="other")
    found = db.status_page.latencies(["shop"], NOW - DAY)
    assert [one.latency_ms for one in found] == [900, None]


def test_open_incidents_come_first_and_old_ones_not_at_all(db: Database) -> None:
    for kind, opened, closed in (
        ("down", NOW - 20 * DAY, NOW - 19 * DAY),
        ("slow", NOW - 2 * DAY, NOW - DAY),
        ("certificate", NOW - 60 * DAY, None),
    ):
        db.connection.execute(
            "INSERT INTO site_incidents (site, kind, opened_at, closed_at, reason)"
            " VALUES ('shop', %s, %s, %s, 'x')",
            [kind, opened, closed],
        )
    assert [one.kind for one in db.status_page.incidents(NOW - 14 * DAY, 10)] == ["certificate", "slow"]


def test_of_each_site_the_newest_picture_is_shown(db: Database) -> None:
    for site, taken, viewport in (("a", 3, "old"), ("a", 1, "new"), ("b", 2, "only")):
        db.connection.execute(
            "INSERT INTO site_pictures (site, taken_at, viewport, conditions, problem)"
            " VALUES (%s, %s, %s, '', 'x')",
            [site, NOW - taken * HOUR, viewport],
        )
    assert [(one.site, one.viewport) for one in db.status_page.pictures(10)] == [("a", "new"), ("b", "only")]


def test_hosts_are_shown_by_the_mean_of_five_minutes(db: Database) -> None:
    for minute, ratio in ((0, 0.2), (1, 0.4), (5, 0.9)):
        db.connection.execute(
            "INSERT INTO host_metrics (host, at, cpu_ratio) VALUES ('local', %s, %s)",
            [TODAY + minute * MINUTE, ratio],
        )
    found = db.status_page.hosts(NOW - DAY)
    assert [(one.at, round(one.cpu_ratio or 0, 6)) for one in found] == [
        (TODAY, 0.3),
        (TODAY + 5 * MINUTE, 0.9),
    ]
    assert found[0].memory_used_ratio is None


def test_an_anomaly_comes_with_its_most_unusual_point_and_the_values_around_it(db: Database) -> None:
    run = db.connection.execute
    run("INSERT INTO host_metrics (host, at, cpu_ratio) VALUES ('local', %s, 0.5)", [TODAY])
    run(
        "INSERT INTO container_metrics (engine, name, at, container_id, memory_bytes)"
        " VALUES ('local', 'web', %s, 'a', 700000000)",
        [TODAY],
    )
    checked(db, TODAY)
    expected = {
        "host/local/cpu_ratio": [0.5],
        "container/local/web/memory_bytes": [7e8],
        "site/shop/latency_ms": [120],
        "weather/berlin/rain": [],
    }
    for number, series in enumerate(expected):
        kind, host, *rest = series.split("/")
        subject = {"container": "web", "site": "shop"}.get(kind, "")
        group = run(
            "INSERT INTO anomaly_groups (host, cause, title, score, opened_at, last_at)"
            " VALUES (%s, %s, %s, 0.9, %s, %s) RETURNING id",
            [host, f"cause-{number}", series, TODAY, TODAY + HOUR],
        ).fetchone()
        assert group
        for score, deviation in ((0.5, 3.0), (0.9, -9.0)):
            run(
                "INSERT INTO anomalies (group_id, series, host, subject, metric, at, score, value, deviation)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, 1, %s)",
                [group["id"], series, host, subject, rest[-1], TODAY + score * MINUTE, score, deviation],
            )
    found = db.status_page.anomalies(NOW - DAY, 10)
    assert {one.at for one in found} == {TODAY + 0.9 * MINUTE}
    assert {
        one.title: [point.value for point in db.status_page.points(one, TODAY - HOUR, TODAY + HOUR)]
        for one in found
    } == expected


def test_open_alerts_come_before_those_that_are_over(db: Database) -> None:
    for number in range(3):
        problem = Problem(
            key=f"k{number}", occurrence=f"o{number}", title=f"Alert {number}", severity=Severity.WARNING,
            seen_at=NOW - number * MINUTE,
        )  # fmt: skip
        db.alerts.raise_problem(problem)
    db.alerts.recover(Recovered(key="k0", at=NOW, for_good=True))
    db.connection.execute("UPDATE alerts SET closed_at = %s WHERE key = 'k0'", [NOW])
    assert [one.title for one in db.status_page.alerts(10)] == ["Alert 1", "Alert 2", "Alert 0"]


def test_jobs_are_those_of_the_ledger(db: Database) -> None:
    schedule = IntervalSchedule(slug="s", interval_seconds=3600, anchor_date=TODAY - 10 * DAY)
    planned = Planned(job_id="beat", slug="s", schedule=schedule, grace_seconds=None, longest_run_seconds=60)
    db.ledger.plan([planned], NOW - 3 * HOUR)
    db.ledger.record(
        [Entry(job_id="beat", slug="s", due_at=TODAY + 13 * HOUR, outcome=TickOutcome.FAILED)], NOW
    )
    db.state.set(CHECKED_KEY, NOW.isoformat())
    (job,) = db.status_page.jobs(NOW - DAY, NOW)
    assert (job.job_id, job.due, job.outcomes) == ("beat", 3, {"Failed": 1})


def test_the_page_of_an_installation_is_written_whole(db: Database, tmp_path: Path) -> None:
    standing(db)
    standing(db, "down", site="gone")
    for minutes in range(0, 600, 5):
        checked(db, NOW - minutes * MINUTE)
    report = service.write(
        db.status_page, PictureFiles(tmp_path / "pictures"), ReportFile(tmp_path / "report" / "index.html"),
        now=NOW, config=StatusPageConfig(), sites=SITES,
    )  # fmt: skip
    assert (report.outcome, report.unread) == ("Completed", ())
    assert report.summary.startswith("The one site is up; no alert is open. Written to ")
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.endswith("</html>")
    assert "shop.example.org/" in page
    assert "gone" not in page, "a site that is not in aegis.yaml any more is not watched"


def test_a_part_whose_table_is_broken_is_named_and_the_rest_is_shown(db: Database, tmp_path: Path) -> None:
    standing(db)
    db.connection.execute("ALTER TABLE host_metrics RENAME COLUMN cpu_ratio TO something_else")
    made = service.make(
        db.status_page, PictureFiles(tmp_path), now=NOW, config=StatusPageConfig(), sites=SITES
    )
    assert made.page.unread == (Section.HOSTS,)
    assert "hosts could not be read" in made.page.verdict.words
    assert made.page.cards[0].name == "shop"
