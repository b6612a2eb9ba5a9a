"""The digest and the morning status as text. What came from outside is escaped; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from aegis_lib.clock import iso
from aegis_lib.digest.model import Digest, Line, Lines, Morning, Window
from aegis_lib.markdown import inline
from aegis_lib.tasks.model import Task, TaskStatus

NOTHING = "None."


def title(window: Window) -> str:
    """What a digest is called, in the journal and in the room."""
    return f"Evening summary {iso(window.end)[:10]}"


def evening_markdown(digest: Digest) -> str:
    """The digest without its title, in five sections."""
    arrivals, tasks = digest.arrivals, digest.tasks
    return "\n\n".join(
        [
            f"{_span(digest.window)}",
            "### Tasks",
            f"{tasks.completed} completed, {tasks.failed} failed; {_standing(digest.standing)}.",
            *_bullets(
                [f"done: {_task(task)}" for task in digest.completed]
                + [f"failed: {_task(task)}" for task in digest.failed],
                tasks.completed + tasks.failed,
            ),
            "### Events",
            f"{arrivals.events.total} recorded, {arrivals.events.critical} critical.",
            *_lines(arrivals.critical, or_else=None),
            "### Key decisions",
            *_lines(arrivals.decisions),
            "### Errors encountered",
            *_lines(arrivals.errors),
            "### Tomorrow's priorities",
            *(_bullets([_waiting(task, digest.window.end) for task in digest.priorities], digest.pending)
              or [NOTHING]),
        ]
    )  # fmt: skip


def evening_sentence(digest: Digest) -> str:
    """One sentence for `episodic_memory` and the run."""
    return (
        f"{digest.tasks.completed} tasks completed, {digest.pending} pending; "
        f"{digest.arrivals.events.total} events, {digest.arrivals.events.critical} critical, "
        f"{digest.arrivals.errors.total} errors"
    )


def empty_sentence(window: Window) -> str:
    """One sentence for a run that found nothing to put into a digest."""
    return (
        f"Nothing happened from {iso(window.start)} to {iso(window.end)}: no event but our own reports, "
        "no task touched. If that lasts, look whether anything still writes to episodic_memory."
    )


def morning_markdown(morning: Morning) -> str:
    """The morning status."""
    tasks, events = morning.tasks, morning.events
    waiting = _bullets([_waiting(task, morning.yesterday.end) for task in morning.next_up], morning.pending)
    return "\n\n".join(
        [
            f"## Morning status {iso(morning.yesterday.end)[:10]}",
            f"Yesterday ({iso(morning.yesterday.start)[:10]}, UTC): {tasks.completed} tasks completed, "
            f"{tasks.failed} failed, {tasks.created} new; {events.total} events, {events.critical} critical.",
            f"Now: {_standing(morning.standing)}.",
            "### Pending",
            *(waiting or [NOTHING]),
        ]
    )


def morning_sentence(morning: Morning) -> str:
    """One sentence for `episodic_memory` and the run."""
    return (
        f"{morning.pending} tasks pending; yesterday {morning.tasks.completed} completed, "
        f"{morning.tasks.failed} failed, {morning.events.total} events"
    )


def _span(window: Window) -> str:
    hours = (window.end - window.start).total_seconds() / 3600
    return f"From {iso(window.start)} to {iso(window.end)} ({hours:.3g} h)."


def _standing(standing: dict[TaskStatus, int]) -> str:
    names = (
        (TaskStatus.PENDING, "pending"),
        (TaskStatus.IN_PROGRESS, "in progress"),
        (TaskStatus.BLOCKED, "blocked"),
    )
    return ", ".join(f"{standing.get(status, 0)} {name}" for status, name in names)


def _task(task: Task) -> str:
    return inline(task.title)


def _waiting(task: Task, now: datetime) -> str:
    due = ""
    if task.due_at is not None:
        due = f" (overdue since {iso(task.due_at)})" if task.due_at < now else f" (due {iso(task.due_at)})"
    return f"P{task.priority} {inline(task.title)}{due}"


def _line(line: Line) -> str:
    decided = f" → {inline(line.decision)}" if line.decision and line.decision.strip() else ""
    when = iso(line.timestamp)[:16].replace("T", " ")
    return f"{when} {inline(line.event_type)}: {inline(line.summary)}{decided}"


def _lines(lines: Lines, or_else: str | None = NOTHING) -> list[str]:
    return _bullets([_line(line) for line in lines.shown], lines.total) or ([or_else] if or_else else [])


def _bullets(texts: Iterable[str], total: int) -> list[str]:
    """One block of list items, and how many more there are; no block for no items."""
    items = [f"- {text}" for text in texts]
    if not items:
        return []
    if total > len(items):
        items.append(f"- … and {total - len(items)} more")
    return ["\n".join(items)]
