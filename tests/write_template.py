"""Writes the work pool's template as our worker describes it: `python -m tests.write_template`."""

from __future__ import annotations

import json

from deployments.work_pool import TEMPLATE_FILE
from deployments.worker.worker import AegisWorker


def text() -> str:
    """What the file should hold."""
    return json.dumps(AegisWorker.get_default_base_job_template(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    TEMPLATE_FILE.write_text(text(), encoding="utf-8")
