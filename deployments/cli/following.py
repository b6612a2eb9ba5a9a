"""Shows a run as it goes on: its lines, its states, how it ended. Starts and changes nothing."""

from __future__ import annotations

import re
from typing import Literal

from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK
from deployments.job_model import LogLine, RunView
from deployments.jobs import Scheduler

_FRAME = re.compile(r'\s+File ".*", line \d+')
REFUSED = "another run of this job is active, and the limit of one run at a time refused this one"


def follow(scheduler: Scheduler, run: str, *, json: Literal["no", "end", "lines"] = "no") -> int:
    """Print what happens to a run until it is over; the exit code says how it ended.

    Args:
        scheduler: the server's.
        run: its id, its name, or a job for its newest run.
        json: `end` prints the run when it is over, `lines` each of its lines as a JSON document of its own.
    """
    ended: RunView | None = None
    for event in scheduler.runs.follow(run):
        if isinstance(event, RunView):
            if event.final:
                ended = event
            elif json == "no":
                screen.say(f"{event.job_id or 'run'} {event.name}: {event.outcome}")
        elif json == "lines":
            screen.as_json_line(event)
        elif json == "no":
            print_line(event)
    if ended is None:
        return FAILED
    if json == "end":
        screen.as_json(ended)
    elif json == "no":
        _print_end(ended)
    return OK if ended.good else FAILED


def print_line(line: LogLine) -> None:
    """One line of a run's log."""
    style = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}.get(line.level, "")
    text = screen.plain(f"{line.timestamp:%H:%M:%S} ")
    if style:
        text.append(f"{line.level} ", style)
    text.append(without_frames_of_prefect(line.message.rstrip()), style)
    screen.say(text)


def without_frames_of_prefect(message: str) -> str:
    """A traceback without what happened inside Prefect, which is nearly all of it; other text as it is."""
    if "Traceback (most recent call last)" not in message:
        return message
    kept, skipping = [], False
    for line in message.splitlines():
        if _FRAME.match(line):
            skipping = "/site-packages/prefect/" in line or "/flows/_policy.py" in line
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(kept)


def _print_end(ended: RunView) -> None:
    text = screen.plain(f"{ended.job_id or 'run'} {ended.name}: ")
    text.append_text(screen.named(ended.outcome))
    if ended.duration_seconds is not None:
        text.append(f" after {ended.duration_seconds:.1f} s")
    if ended.refused:
        text.append(f": {REFUSED}.")
    elif ended.message:
        text.append(f": {ended.message}")
    screen.say(text)
