"""The catalogue as the job table of README.md, between two markers. The table is derived; nobody edits it."""

from __future__ import annotations

import re
from pathlib import Path

from aegis_lib import schedule_words
from aegis_lib.errors import Misconfigured
from deployments.catalogue.model import Catalogue, Job

START, END = "<!-- jobs -->", "<!-- /jobs -->"
_BLOCK = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)


def job_table_markdown(catalogue: Catalogue) -> str:
    """A Markdown table: job, schedule, the first line of the flow's docstring."""
    rows = [
        f"| `{job.id}` | {_when(job)} | {job.summary.replace('|', chr(92) + '|')} |" for job in catalogue.jobs
    ]
    return "\n".join(["| Job | Runs (UTC) | What it does |", "|---|---|---|", *rows])


def _when(job: Job) -> str:
    return ", ".join(schedule_words.words(schedule.payload()) for schedule in job.schedules) or "on demand"


def table_in(text: str) -> str | None:
    """The block between the markers without them, stripped; None where there is none."""
    match = _BLOCK.search(text)
    return match[0].removeprefix(START).removesuffix(END).strip() if match else None


def renew(readme: Path, catalogue: Catalogue) -> bool:
    """Write the current table into the file; False where it was current.

    Raises:
        Misconfigured: the file has no markers.
    """
    text = readme.read_text(encoding="utf-8")
    table = job_table_markdown(catalogue)
    if table_in(text) is None:
        raise Misconfigured(
            readme.name, "has no job table to renew.", f"put {START} and {END} where it belongs."
        )
    renewed = _BLOCK.sub(lambda _: f"{START}\n{table}\n{END}", text)
    if renewed == text:
        return False
    readme.write_text(renewed, encoding="utf-8")
    return True
