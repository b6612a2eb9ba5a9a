"""What belongs into a digest, in which order, and how it reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from aegis_lib.digest import messages, policy
from aegis_lib.digest.model import (
    Arrivals,
    Digest,
    DigestConfig,
    EventCounts,
    Line,
    Lines,
    Morning,
    TaskCounts,
    Window,
)
from aegis_lib.tasks.model import Task, TaskStatus

NOW = datetime(2026, 1, 25, 22, 0, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(start=NOW - DAY, end=NOW)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (datetime(2026, 1, 25, 6, tzinfo=UTC), 24),
        (datetime(2026, 1, 25, 0, tzinfo=UTC), 24),
        (datetime(2026, 1, 24, 23, 59, 59, tzinfo=UTC), 23),
        (datetime(2026, 1, 25, 6, tzinfo=timezone(timedelta(hours=9))), 23),  # still the 24th in UTC
        (datetime(2026, 1, 24, 20, tzinfo=timezone(-timedelta(hours=8))), 24),  # already the 25th in UTC
    ],
)
def test_yesterday_is_the_utc_day_before_in_whatever_zone_the_clock_is_written(
    now: datetime, first: int
) -> None:
    start = datetime(2026, 1, first, tzinfo=UTC)
    assert policy.yesterday(now) == Window(start=start, end=start + DAY)


@pytest.mark.parametrize(
    ("events", "tasks", "nothing"),
    [
        (EventCounts(), TaskCounts(), True),
        (EventCounts(total=2, others=0), TaskCounts(), True),  # only our own reports
        (EventCounts(total=3, others=1), TaskCounts(), False),
        (EventCounts(), TaskCounts(created=1), False),
        (EventCounts(), TaskCounts(completed=1), False),
        (EventCounts(), TaskCounts(failed=1), False),
    ],
)
def test_a_window_holds_nothing_when_only_our_own_reports_are_in_it(
    events: EventCounts, tasks: TaskCounts, nothing: bool
) -> None:
    assert policy.holds_nothing(Arrivals(events=events), tasks) is nothing


@pytest.mark.parametrize(
    ("standing", "events", "silent"),
    [
        ({}, 0, True),
        ({TaskStatus.COMPLETED: 5, TaskStatus.FAILED: 1}, 0, True),
        ({TaskStatus.PENDING: 1}, 0, False),
        ({TaskStatus.BLOCKED: 1}, 0, False),
        ({TaskStatus.IN_PROGRESS: 1}, 0, False),
        ({}, 1, False),
    ],
)
def test_a_morning_has_nothing_to_say_when_nobody_writes_anything(
    standing: dict[TaskStatus, int], events: int, silent: bool
) -> None:
    morning = Morning(
        yesterday=policy.yesterday(NOW), standing=standing, events=EventCounts(total=events, others=events)
    )
    assert policy.has_nothing_to_say(morning) is silent


@pytest.mark.parametrize(("minutes", "follows"), [(0, False), (59, False), (60, True), (1440, True)])
def test_the_next_digest_follows_at_once_only_after_a_while(minutes: int, follows: bool) -> None:
    assert policy.follows_now(WINDOW, NOW + timedelta(minutes=minutes), DigestConfig()) is follows


def task(number: int, priority: int = 2, due: timedelta | None = None, **fields: object) -> Task:
    return Task(
        id=number,
        title=f"task {number}",
        priority=priority,
        due_at=None if due is None else NOW + due,
        created_at=NOW - DAY + timedelta(minutes=number),
        **fields,
    )


def test_what_is_due_comes_before_what_is_important_and_age_decides_last() -> None:
    tasks = [
        task(1, priority=3),
        task(2, priority=0),
        task(3, priority=4, due=-timedelta(hours=1)),
        task(4, priority=1, due=timedelta(hours=20)),
        task(5, priority=0, due=timedelta(days=9)),
        task(6, priority=3),
    ]
    assert [t.id for t in policy.rank_priorities(tasks, NOW, 10)] == [4, 3, 5, 2, 1, 6]
    assert [t.id for t in policy.rank_priorities(tasks, NOW, 2)] == [4, 3]


def test_a_window_has_a_length() -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(start=NOW, end=NOW)


def line(summary: str, event_type: str = "note", decision: str | None = None) -> Line:
    return Line(timestamp=NOW - DAY / 2, event_type=event_type, summary=summary, decision=decision)


def test_a_digest_reads_as_its_five_sections() -> None:
    digest = Digest(
        window=WINDOW,
        arrivals=Arrivals(
            events=EventCounts(total=42, critical=1, others=40),
            critical=Lines(shown=(line("Database down", "db_outage"),), total=1),
            decisions=Lines(shown=(line("Which database?", "decision", "PostgreSQL"),), total=1),
            errors=Lines(shown=(line("boom", "job_error"),), total=3),
        ),
        tasks=TaskCounts(created=2, completed=1, failed=1),
        standing={TaskStatus.PENDING: 7, TaskStatus.BLOCKED: 1},
        completed=(task(1),),
        failed=(task(2),),
        priorities=(task(3, priority=0, due=-DAY), task(4, due=DAY)),
    )
    assert (
        messages.evening_markdown(digest)
        == """\
From 2026-01-24T22:00:00Z to 2026-01-25T22:00:00Z (24 h).

### Tasks

1 completed, 1 failed; 7 pending, 0 in progress, 1 blocked.

- done: task 1
- failed: task 2

### Events

42 recorded, 1 critical.

- 2026-01-25 10:00 db\\_outage: Database down

### Key decisions

- 2026-01-25 10:00 decision: Which database? → PostgreSQL

### Errors encountered

- 2026-01-25 10:00 job\\_error: boom
- … and 2 more

### Tomorrow's priorities

- P0 task 3 (overdue since 2026-01-24T22:00:00Z)
- P2 task 4 (due 2026-01-26T22:00:00Z)
- … and 5 more"""
    )


def test_an_empty_section_says_none() -> None:
    text = messages.evening_markdown(Digest(window=WINDOW))
    assert text.count("None.") == 3
    assert "0 completed, 0 failed; 0 pending, 0 in progress, 0 blocked." in text


def test_no_event_can_break_out_of_its_line() -> None:
    evil = "x\n## Owned\n- [y](http://evil.example) <!-- aegis digest end --> @everyone " + "z" * 1000
    digest = Digest(
        window=WINDOW,
        arrivals=Arrivals(decisions=Lines(shown=(line(evil, evil[:90], evil),), total=1)),
        completed=(task(1).model_copy(update={"title": evil[:500]}),),
    )
    text = messages.evening_markdown(digest)
    headings = [row for row in text.splitlines() if row.startswith("#")]
    assert headings == ["### Tasks", "### Events", "### Key decisions", "### Errors encountered",
                        "### Tomorrow's priorities"]  # fmt: skip
    assert "<!--" not in text
    assert "](" not in text
    assert " @everyone" not in text
    assert max(map(len, text.splitlines())) < 800


def test_the_morning_status_reads_as_counts_and_what_waits() -> None:
    morning = Morning(
        yesterday=policy.yesterday(NOW),
        events=EventCounts(total=9, critical=2, others=8),
        tasks=TaskCounts(created=1, completed=2, failed=3),
        standing={TaskStatus.PENDING: 2, TaskStatus.IN_PROGRESS: 1},
        next_up=(task(1), task(2)),
    )
    assert (
        messages.morning_markdown(morning)
        == """\
## Morning status 2026-01-25

Yesterday (2026-01-24, UTC): 2 tasks completed, 3 failed, 1 new; 9 events, 2 critical.

Now: 2 pending, 1 in progress, 0 blocked.

### Pending

- P2 task 1
- P2 task 2"""
    )
