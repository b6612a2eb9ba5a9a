"""Writes the morning status and the evening digest. Must not lose a window, nor post one twice.

A digest is claimed before it is written. Whatever fails in between, the next run takes the same window up
again: the journal and the event memory know each digest by its window, so only the posting needs a claim of
its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aegis_lib.alerts.model import Message
from aegis_lib.clock import iso
from aegis_lib.digest import messages, policy
from aegis_lib.digest.model import (
    EVENING_EVENT,
    MORNING_EVENT,
    Claim,
    Digest,
    DigestConfig,
    EveningReport,
    Morning,
    MorningReport,
)
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.digest import DigestStore, Journal
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.tasks import TaskList

_MOST_TASKS = 1000

log = get_logger(__name__)


def morning_status(
    digests: DigestStore, tasks: TaskList, memory: EpisodicMemory, *, now: datetime, config: DigestConfig
) -> MorningReport:
    """Yesterday's tasks and events, and what is pending; recorded once per day.

    Raises:
        DependencyUnavailable: the database is away.
    """
    day = policy.yesterday(now)
    morning = Morning(
        yesterday=day,
        events=digests.events_between(day),
        tasks=digests.tasks_between(day),
        standing=tasks.counts(),
        next_up=policy.rank_priorities(tasks.pending(_MOST_TASKS), now, config.listed),
    )
    log.info("morning_status_generated", pending_tasks=morning.pending)
    if policy.has_nothing_to_say(morning):
        return MorningReport(outcome=Outcome.NO_INPUT, summary=messages.empty_sentence(day), morning=morning)
    memory.record(
        MORNING_EVENT,
        messages.morning_sentence(morning),
        {
            "day": iso(day.start)[:10],
            "pending_tasks": morning.pending,
            "tasks": {status.value: number for status, number in morning.standing.items()},
            "yesterday": morning.tasks.model_dump(),
            "events": morning.events.total,
        },
        Importance.MEDIUM,
        ("digest",),
        timestamp=now,
        key=f"{MORNING_EVENT}:{iso(day.end)[:10]}",
    )
    return MorningReport(
        summary=messages.morning_sentence(morning),
        morning=morning,
        markdown=messages.morning_markdown(morning),
    )


class _Evening:
    """One run: its ports, its moment, and what it did so far."""

    def __init__(
        self,
        digests: DigestStore,
        tasks: TaskList,
        memory: EpisodicMemory,
        journal: Journal,
        notifier: Notifier,
        now: datetime,
        config: DigestConfig,
    ) -> None:
        self.digests, self.tasks, self.memory = digests, tasks, memory
        self.journal, self.notifier = journal, notifier
        self.now, self.config = now, config
        self.written: list[Digest] = []
        self.pages: list[str] = []
        self.problems: list[str] = []
        self.posted = 0

    def run(self) -> EveningReport:
        """Finish what an earlier run left, then write the digest of the time since."""
        earlier = self.digests.unfinished()
        if earlier is not None:
            log.warning("digest_taken_up_again", start=earlier.window.start, end=earlier.window.end)
            self._write(earlier)
            if not policy.follows_now(earlier.window, self.now, self.config):
                return self._report(earlier)
        first_start = self.now - timedelta(hours=self.config.first_window_hours)
        fresh = self.digests.claim(self.now, first_start)
        if fresh is not None:
            self._write(fresh)
        return self._report(fresh or earlier)

    def _write(self, claim: Claim) -> None:
        digest = self._compose(claim)
        if policy.holds_nothing(digest.arrivals, digest.tasks):
            self.digests.finish(claim.id, self.now, None)
            return
        text = messages.evening_markdown(digest)
        title = messages.title(claim.window)
        page = self.journal.write(
            claim.window.end.astimezone(UTC).date(),
            f"digest {claim.window.end.isoformat()}",
            f"## {title}\n\n{text}",
        )
        self._record(digest, page)
        self._post(claim, Message(title=title, body=text, audience="journal", key=_key(digest)))
        self.digests.finish(claim.id, self.now, page)
        self.written.append(digest)
        self.pages.append(page)
        log.info(
            "evening_summary_generated",
            tasks_completed=digest.tasks.completed,
            events=digest.arrivals.events.total,
            journal=page,
        )

    def _compose(self, claim: Claim) -> Digest:
        window, listed = claim.window, self.config.listed
        return Digest(
            window=window,
            arrivals=self.digests.arrivals(window, listed),
            tasks=self.digests.tasks_between(window),
            standing=self.tasks.counts(),
            completed=tuple(self.tasks.completed(window.start, window.end, listed)),
            failed=tuple(self.tasks.failed(window.start, window.end, listed)),
            priorities=policy.rank_priorities(
                self.tasks.pending(_MOST_TASKS), window.end, self.config.priorities
            ),
        )

    def _record(self, digest: Digest, page: str) -> None:
        self.memory.record(
            EVENING_EVENT,
            messages.evening_sentence(digest),
            {
                "window": {"start": iso(digest.window.start), "end": iso(digest.window.end)},
                "tasks_completed": digest.tasks.completed,
                "pending_tasks": digest.pending,
                "events": digest.arrivals.events.total,
                "critical": digest.arrivals.events.critical,
                "errors": digest.arrivals.errors.total,
                "journal": page,
            },
            Importance.MEDIUM,
            ("digest",),
            timestamp=self.now,
            key=_key(digest),
        )

    def _post(self, claim: Claim, message: Message) -> None:
        """Post at most once. What is known not to have arrived may be tried again; the unknown may not."""
        if not self.digests.claim_post(claim.id, self.now):
            at = f" at {iso(claim.post_claimed_at)}" if claim.post_claimed_at else ""
            self.problems.append(
                f"An earlier run ended while it was posting the digest of {iso(claim.window.end)}{at}. "
                "Whether it arrived is not known, so it is not posted again; the journal has it."
            )
            log.warning("digest_posting_unknown", end=claim.window.end)
            return
        try:
            receipts = self.notifier.send(message)
        except DependencyUnavailable:
            self.digests.release_post(claim.id)
            raise
        except PermanentFailure as error:
            self.problems.append(f"The digest could not be posted: {error}")
            log.error("digest_not_posted", error=str(error))
            return
        self.posted += any(receipt.delivered for receipt in receipts)

    def _report(self, last: Claim | None) -> EveningReport:
        if not self.written:
            summary = (
                messages.empty_sentence(last.window)
                if last
                else f"The last digest ends at or after {iso(self.now)}: was the clock set back?"
            )
            return EveningReport(outcome=Outcome.NO_INPUT, summary=summary)
        newest = self.written[-1]
        return EveningReport(
            outcome=Outcome.DEGRADED if self.problems else Outcome.COMPLETED,
            summary=" ".join(
                [f"{messages.evening_sentence(newest)}; journal {self.pages[-1]}.", *self.problems]
            ),
            digests=tuple(self.written),
            markdown=f"## {messages.title(newest.window)}\n\n{messages.evening_markdown(newest)}",
            journal=tuple(self.pages),
            posted=self.posted,
            problems=tuple(self.problems),
        )


def evening_summary(
    digests: DigestStore,
    tasks: TaskList,
    memory: EpisodicMemory,
    journal: Journal,
    notifier: Notifier,
    *,
    now: datetime,
    config: DigestConfig,
) -> EveningReport:
    """Write the digest of the time since the last one: journal, event memory, then the journal's room.

    Raises:
        DependencyUnavailable: the database, the disk or every channel is away; the window stays claimed and
            the next run takes it up.
        Misconfigured: the journal cannot be written; likewise.
    """
    with digests.exclusive() as held:
        if not held:
            return EveningReport(summary="Another run is writing the digest; nothing was done.")
        return _Evening(digests, tasks, memory, journal, notifier, now, config).run()


def _key(digest: Digest) -> str:
    return f"{EVENING_EVENT}:{digest.window.end.isoformat()}"
