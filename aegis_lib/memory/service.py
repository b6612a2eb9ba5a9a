"""Forgets what may be forgotten, and finds what resembles a text. Only importance `low` is ever forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from aegis_lib.clock import iso
from aegis_lib.errors import PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.memory import policy
from aegis_lib.memory.model import CleanupReport, Episode, MemoryConfig
from aegis_lib.ports.memory import Embedder, EpisodicMemory, ExpiringMemory

log = get_logger(__name__)


def clean_up(
    memory: ExpiringMemory,
    config: MemoryConfig,
    *,
    now: datetime,
    dry_run: bool,
    graph_configured: bool = False,
    pause: Callable[[float], None] = time.sleep,
    elapsed: Callable[[], float] = time.monotonic,
) -> CleanupReport:
    """Delete low-importance events older than the retention, in batches, the oldest first.

    Each batch is committed by itself, so an interrupted cleanup has deleted some of what it may and nothing
    else. Rows that the knowledge graph has not read yet stay when a graph is configured. It stops after the
    configured time and says so. `pause` waits for seconds; `elapsed` is a clock in seconds that only goes on.

    Raises:
        DependencyUnavailable: the database is away; what was deleted before stays deleted.
    """
    before = policy.age_limit(now, config)
    spare = config.spare_unsynced or graph_configured
    began = elapsed()
    if dry_run:
        remaining = memory.count_expired(before, spare)
        summary = f"Dry run: {remaining} low-importance events from before {iso(before)} would be deleted."
        log.info("memory_cleanup_dry_run", would_delete=remaining, before=before)
        return CleanupReport(summary=summary, dry_run=True, before=before, remaining=remaining)

    report = CleanupReport(summary="", dry_run=False, before=before)
    rows = config.least_batch_rows
    while True:
        started = elapsed()
        batch = memory.delete_expired(before, rows, spare)
        took = elapsed() - started
        if batch.rows:
            report = report.model_copy(
                update={
                    "deleted": report.deleted + batch.rows,
                    "batches": report.batches + 1,
                    "oldest": min(filter(None, (report.oldest, batch.oldest)), default=None),
                    "newest": max(filter(None, (report.newest, batch.newest)), default=None),
                }
            )
        if batch.rows < rows:
            break
        if elapsed() - began >= config.time_limit_seconds:
            report = report.model_copy(update={"stopped_early": True})
            break
        pause(policy.pause_seconds(took, config))
        rows = policy.next_batch_rows(rows, took, config)
    remaining = memory.count_expired(before, spare)
    report = report.model_copy(update={"remaining": remaining, "seconds": elapsed() - began})
    log.info(
        "memory_cleanup_complete",
        deleted=report.deleted,
        remaining=remaining,
        before=before,
        oldest=report.oldest,
        newest=report.newest,
        seconds=round(report.seconds, 2),
        stopped_early=report.stopped_early,
    )
    return report.model_copy(update={"summary": _sentence(report, config)})


def _sentence(report: CleanupReport, config: MemoryConfig) -> str:
    if report.oldest is None or report.newest is None:
        text = f"No low-importance event from before {iso(report.before)} to delete."
    else:
        text = (
            f"{report.deleted} low-importance events deleted, from {iso(report.oldest)} "
            f"to {iso(report.newest)}, in {report.seconds:.1f} s."
        )
    if report.stopped_early:
        limit = f"after {config.time_limit_seconds} s (memory.time_limit_seconds)"
        return f"{text} Stopped {limit}; {report.remaining} are left to the next run."
    if report.remaining:
        return f"{text} {report.remaining} are held by others right now and left to the next run."
    return text


def similar(
    memory: EpisodicMemory, embedder: Embedder, text: str, limit: int = 10
) -> list[tuple[Episode, float]]:
    """Remembered events nearest in meaning to a text, with cosine similarity (-1 to 1), best first.

    Only events that were embedded by the same model compare.

    Raises:
        DependencyUnavailable: the database or the model server is away.
        PermanentFailure: the model's vectors do not fit the table.
    """
    vectors = embedder.embed([text])
    if len(vectors) != 1:
        raise PermanentFailure(f"The embedding model answered {len(vectors)} vectors for one text.")
    return memory.find_similar(policy.fitted(vectors[0]), limit)
