"""The reader of prefect.yaml: what it accepts, and the line and mend of every mistake."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from deployments.catalogue import (
    CatalogueError,
    CronSchedule,
    IntervalSchedule,
    UnknownJob,
    job_table_markdown,
    read,
)
from deployments.catalogue.__main__ import main
from deployments.catalogue.table import renew, table_in

GOOD = """\
definitions:
  limit: &limit {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}
deployments:
  - name: site-check
    entrypoint: flows/site_check.py:site_check
    tags: [aegis, sites]
    work_pool: {name: aegis}
    concurrency_limit: *limit
    parameters:
      dry_run: false
    schedules:
      - slug: often
        interval: 300
        anchor_date: "2025-01-01T00:00:10Z"
      - slug: nightly
        cron: "15 3 * * *"
        timezone: Europe/Berlin
"""
FLOW = '''\
from prefect import flow

@flow
def site_check(dry_run: bool = True, *, limit: int = 5):
    """Look at every site.

    More about it.
    """
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "site_check.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(GOOD)
    return tmp_path


def mistakes(project: Path, text: str) -> list[str]:
    (project / "prefect.yaml").write_text(text)
    with pytest.raises(CatalogueError) as caught:
        read(project / "prefect.yaml")
    return str(caught.value).splitlines()


def only_mistake(project: Path, before: str, after: str) -> str:
    assert before in GOOD
    found = mistakes(project, GOOD.replace(before, after))
    assert len(found) == 1, found
    return found[0]


def test_a_good_catalogue_becomes_typed_jobs(project: Path) -> None:
    (job,) = read(project / "prefect.yaml").jobs

    assert (job.id, job.deployment_name, job.full_name) == (
        "site_check",
        "site-check",
        "site-check/site-check",
    )
    assert job.parameters == {"dry_run": False}
    assert job.tags == ("aegis", "sites")
    assert job.concurrency_limit.grace_period_seconds == 60
    assert job.summary == "Look at every site."
    assert job.description == "Look at every site.\n\nMore about it."
    assert job.line == 4
    assert job.schedules == (
        IntervalSchedule(
            slug="often", interval_seconds=300, anchor_date=datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC)
        ),
        CronSchedule(slug="nightly", cron="15 3 * * *", timezone="Europe/Berlin"),
    )


@pytest.mark.parametrize("name", ["site_check", "site-check", "site-check/site-check"])
def test_a_job_is_found_under_each_of_its_names(project: Path, name: str) -> None:
    assert read(project / "prefect.yaml").find(name).id == "site_check"


def test_an_unknown_job_is_refused_with_the_nearest_name(project: Path) -> None:
    with pytest.raises(UnknownJob, match="did you mean site_check"):
        read(project / "prefect.yaml").find("sitecheck")


def test_a_job_without_schedules_and_parameters_is_accepted(project: Path) -> None:
    (project / "prefect.yaml").write_text(GOOD[: GOOD.index("    parameters")])

    (job,) = read(project / "prefect.yaml").jobs

    assert job.schedules == ()
    assert job.next_runs(datetime(2026, 1, 1, tzinfo=UTC), 3) == ()


@pytest.mark.parametrize(
    ("before", "after", "line", "expected"),
    [
        ("    tags:", "    tag:", 6, "unknown key 'tag', the nearest valid one is 'tags'"),
        ("definitions:", "definition:", 1, "unknown key 'definition', the nearest valid one is 'def"),
        ("  timezone:", "  timezon:", 17, "unknown key 'timezon', the nearest valid one is 'timezone'"),
        ("{name: aegis}", "{name: aegis, zzz: 1}", 7, "unknown key 'zzz'. Fix: remove it; valid here: name"),
        ("    parameters:", "    description: x\n    parameters:", 9, "docstring of the flow's function"),
        ("    parameters:", "    paused: true\n    parameters:", 9, "aegis pause"),
        ("        timezone:", "        active: true\n        timezone:", 17, "aegis pause"),
        ("    parameters:", "    concurrency_options: {}\n    parameters:", 9, "Prefect ignores this key"),
        ("deployments:", "pull: []\ndeployments:", 3, "runs start in the project's own directory"),
        ("      - slug: nightly\n        cron", "      - cron", 15, "'slug' is missing in schedules"),
        ("slug: nightly", "slug: Nightly Run", 15, "not lower-case words joined by dashes"),
        ("slug: nightly", "slug: often", 15, "the slug 'often' is used twice"),
        ("    concurrency_limit: *limit\n", "", 4, "'concurrency_limit' is missing"),
        ("limit: 1", "limit: 2", 2, "limit is 2 instead of 1"),
        ("CANCEL_NEW", "ENQUEUE", 2, "collision_strategy is 'ENQUEUE' instead of 'CANCEL_NEW'"),
        ("seconds: 60", "seconds: 59", 2, "grace_period_seconds is 59, which is not at least 60"),
        ("seconds: 60", "seconds: 86401", 2, "grace_period_seconds is 86401, which is not at most 86400"),
        ("    parameters:", "    freshness_seconds: 59\n    parameters:", 9, "which is not at least 60"),
        ("    parameters:", "    freshness_seconds: 1h\n    parameters:", 9, "greatest age of the job's"),
        ("    parameters:", "    freshnes_seconds: 9\n    parameters:", 9, "one is 'freshness_seconds'"),
        (", grace_period_seconds: 60", "", 8, "'grace_period_seconds' is missing in concurrency_limit"),
        ("{name: aegis}", "{name: other}", 7, "name is 'other' instead of 'aegis'"),
        ("flows/site_check.py:", "flows/gone.py:", 5, "is not of the form"),
        ("flows/site_check.py:site_check", "jobs.site_check", 5, "is not of the form flows/JOB_ID.py:JOB_ID"),
        ("name: site-check", "name: sites", 4, "Fix: write name: site-check."),
        ("[aegis, sites]", "[sites]", 6, "the tag 'aegis' is missing"),
        ("[aegis, sites]", "[aegis, aegis-custom]", 6, "belongs to jobs that `aegis add` made"),
        ("dry_run: false", "dryrun: false", 10,
         "takes no parameter 'dryrun'. Fix: remove or rename it; flows/site_check.py takes: dry_run, limit."),
        ('nightly\n        cron: "15 3 * * *"', "nightly", 15, "neither cron nor interval"),
        ("interval: 300", 'interval: 300\n        cron: "0 1 * * *"', 12, "has cron and interval"),
        ('cron: "15 3 * * *"', "rrule: FREQ=DAILY", 16, "recurrence rules load the server"),
        ('        anchor_date: "2025-01-01T00:00:10Z"\n', "", 13, "no anchor_date, so that every deploy"),
        ('"2025-01-01T00:00:10Z"', "2025-01-01T00:00:10Z", 14, "anchor_date is a date without quotes"),
        ('"2025-01-01T00:00:10Z"', '"2025-01-01T00:00:10"', 14, "not an ISO date and time in UTC"),
        ('"2025-01-01T00:00:10Z"', '"soon"', 14, "not an ISO date and time in UTC"),
        ("interval: 300", "interval: 5 min", 13, "interval is '5 min', which is not a whole number"),
        ("interval: 300", "interval: 5", 13, "interval 5 is not 10 seconds to 31 days"),
        ("interval: 300", "interval: 300\n        timezone: UTC", 14, "an interval needs no timezone"),
        ("  timezone:", '  anchor_date: "2025-01-01T00:00:10Z"\n        timezone:', 17, "cron has no use"),
        ("Europe/Berlin", "Europe/Berlinn", 17, "there is no time zone 'Europe/Berlinn'"),
        ('"15 3 * * *"', '"15 3 * *"', 16, "has 4 fields instead of 5"),
        ('"15 3 * * *"', '"61 3 * * *"', 16, "is not valid: bad minute"),
        ('"15 3 * * *"', '"15 3 L * *"', 16, "is not valid"),
        ('"15 3 * * *"', '"0 3 30 2 *"', 16, "is not valid"),
        ('"15 3 * * *"', '"0 3 1 * mon"', 16, "restricts day and weekday"),
        ('"15 3 * * *"', '"15 * * * *"', 16, "more than once a day in Europe/Berlin, whose clock changes"),
        ('"15 3 * * *"', '"30 2 * * *"', 16, "change of the clock on 2025-03-30, when 02:00 to 03:00"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_line_and_mend(
    project: Path, before: str, after: str, line: int, expected: str
) -> None:
    found = only_mistake(project, before, after)

    assert found.startswith(f"prefect.yaml:{line}: ")
    assert expected in found
    assert ". Fix: " in found


def test_a_job_listed_twice_is_refused(project: Path) -> None:
    found = mistakes(project, GOOD + GOOD[GOOD.index("  - name") :])

    assert found == [
        "prefect.yaml:18: site-check: the job is listed twice, first as number 1. "
        "Fix: remove one of the two, or give one job several schedules."
    ]


def test_a_missing_flow_file_is_named(project: Path) -> None:
    (project / "flows" / "site_check.py").unlink()

    (found,) = mistakes(project, GOOD)

    assert found.startswith(
        "prefect.yaml:5: site-check: entrypoint 'flows/site_check.py:site_check': that file is not"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def other(): ...", "has no function 'site_check'"),
        ("def site_check(:", "is not valid Python (line 1)"),
        ("def site_check(dry_run): ...", "has no docstring"),
        ('def site_check(dry_run, host):\n    """Text."""', "needs the parameter 'host'"),
        ('def site_check(*, dry_run, host):\n    """Text."""', "needs the parameter 'host'"),
    ],
)
def test_a_flow_file_that_does_not_fit_is_refused(project: Path, source: str, expected: str) -> None:
    (project / "flows" / "site_check.py").write_text(source)

    (found,) = mistakes(project, GOOD)

    assert expected in found


def test_all_mistakes_are_reported_at_once_in_the_order_of_their_lines(project: Path) -> None:
    text = (
        GOOD.replace("limit: 1,", "limit: 3,")
        .replace("tags: [aegis, sites]", "tagz: [aegis]")
        .replace("      - slug: nightly\n        cron", "      - cron")
        .replace('"15 3 * * *"', '"* * * * *"')
        .replace("interval: 300", "interval: 1")
    )

    found = mistakes(project, text)

    assert [int(line.split(":")[1]) for line in found] == [2, 6, 13, 15, 15]
    assert any("'slug' is missing" in line for line in found)
    assert any("more than once a day" in line for line in found)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("deployments: [", 1, "not valid YAML"),
        ("deployments: []", 1, "list at least one job"),
        ("deployments:\n  - name: a\n    name: b\n", 3, "not valid YAML"),
        ("- a\n- b\n", 1, "the file is no mapping"),
        ("", 1, "the file is no mapping"),
        ("deployments: 5", 1, "deployments is 5, which is not a list"),
        ("deployments:\n  - just text\n", 2, "which is not a mapping"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(project: Path, text: str, line: int, expected: str) -> None:
    (found,) = mistakes(project, text)

    assert found.startswith(f"prefect.yaml:{line}: ")
    assert expected in found


def test_a_missing_file_and_one_that_is_no_text_are_refused(project: Path) -> None:
    (project / "prefect.yaml").write_bytes(b"deployments: \xff")
    with pytest.raises(CatalogueError, match="is not UTF-8"):
        read(project / "prefect.yaml")
    with pytest.raises(CatalogueError, match="the file is not there"):
        read(project / "other.yaml")


def test_values_are_read_as_prefect_reads_them(project: Path) -> None:
    (project / "prefect.yaml").write_text(GOOD.replace("dry_run: false", "dry_run: no"))

    assert read(project / "prefect.yaml").jobs[0].parameters == {"dry_run": False}


def test_a_merged_anchor_keeps_the_line_of_its_text(project: Path) -> None:
    text = GOOD.replace(
        "    concurrency_limit: *limit", "    concurrency_limit:\n      <<: *limit\n      grace: 1"
    )

    (found,) = mistakes(project, text.replace("limit: 1,", "limit: 7,").replace("      grace: 1\n", ""))

    assert found.startswith("prefect.yaml:2: site-check: limit is 7")


def test_the_table_says_when_and_what(project: Path) -> None:
    assert job_table_markdown(read(project / "prefect.yaml")) == dedent(
        """\
        | Job | Runs (UTC) | What it does |
        |---|---|---|
        | `site_check` | every 5 min, daily 03:15 Europe/Berlin | Look at every site. |"""
    )


def test_the_table_in_a_readme_is_renewed_once(project: Path) -> None:
    readme = project / "README.md"
    readme.write_text("# Title\n<!-- jobs -->\nold\n<!-- /jobs -->\nrest\n")
    catalogue = read(project / "prefect.yaml")

    assert renew(readme, catalogue)
    assert not renew(readme, catalogue)
    assert table_in(readme.read_text()) == job_table_markdown(catalogue)
    assert readme.read_text().startswith("# Title\n")
    assert readme.read_text().endswith("\nrest\n")


def test_the_command_renews_the_table_and_reports_a_wrong_catalogue(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEGIS_PROJECT_DIR", str(project))
    (project / "README.md").write_text("<!-- jobs --><!-- /jobs -->")

    assert main(["readme"]) == 0
    assert "`site_check`" in (project / "README.md").read_text()
    assert main([]) == 2

    (project / "README.md").write_text("no markers")
    assert main(["readme"]) == 1
    (project / "prefect.yaml").write_text("deployments: []")
    assert main(["readme"]) == 1
    assert "prefect.yaml:1: deployments" in capsys.readouterr().err


def test_reading_the_catalogue_does_not_import_prefect(project: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from deployments.catalogue import read; "
        f"read(Path({str(project / 'prefect.yaml')!r})); "
        "sys.exit(','.join(m for m in ('prefect', 'sqlalchemy', 'rich') if m in sys.modules) or 0)"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (child.returncode, child.stderr) == (0, "")


def test_a_job_may_say_how_old_its_output_may_become(project: Path) -> None:
    text = GOOD.replace("    parameters:", "    freshness_seconds: 1800\n    parameters:")
    (project / "prefect.yaml").write_text(text)
    (job,) = read(project / "prefect.yaml").jobs
    assert job.freshness_seconds == 1800


def test_output_cannot_be_fresher_than_its_job_runs(project: Path) -> None:
    only_interval = GOOD[: GOOD.index("      - slug: nightly")]
    often = only_interval.replace("    parameters:", "    freshness_seconds: 299\n    parameters:")
    (found,) = mistakes(project, often)
    assert "prefect.yaml:9: site-check: freshness_seconds is 299, less than the 300 seconds" in found
    never = often[: often.index("    schedules:")]
    (found,) = mistakes(project, never)
    assert "freshness_seconds without a schedule" in found


BY_HAND = GOOD[: GOOD.index("    parameters:")]


def test_a_job_without_a_schedule_is_run_by_hand_and_may_ask_for_its_parameters(project: Path) -> None:
    (project / "flows" / "site_check.py").write_text('def site_check(number, note=""):\n    """Text."""')
    (project / "prefect.yaml").write_text(BY_HAND)
    catalogue = read(project / "prefect.yaml")
    (job,) = catalogue.jobs
    assert (job.schedules, job.parameters, job.next_runs(datetime(2026, 1, 1, tzinfo=UTC))) == ((), {}, ())
    assert "| `site_check` | on demand | Text. |" in job_table_markdown(catalogue)


def test_a_parameter_that_the_flow_does_not_take_is_a_mistake_also_without_a_schedule(project: Path) -> None:
    (mistake,) = mistakes(project, BY_HAND + "    parameters:\n      numbr: 3\n")
    assert "takes no parameter 'numbr'" in mistake
