"""What services need from the outside: Docker engines and strikes.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.containers.model import Inspected, Listed, Notice, RestartAnswer, RestartOutcome, StrikeRecord


class ContainerEngine(Protocol):
    """One container engine. Every call is bounded in time.

    Every method raises DependencyUnavailable when the engine does not answer, and Misconfigured when it may
    not be asked. A container that has gone in the meantime is an answer, not an error.
    """

    @property
    def name(self) -> str:
        """How people call this engine; part of every container's identity."""

    def containers(self, only_label: str | None = None) -> list[Listed]:
        """All containers, running or not, in one call; with the label `name` or `name=value` where given."""

    def inspect(self, container_id: str) -> Inspected | None:
        """The container in detail; None when it is gone."""

    def restart(self, container_id: str, stop_timeout_seconds: int) -> RestartAnswer:
        """Stop the container, killing it after the time-out, and start it; a stopped one is started."""

    def logs(self, container_id: str, lines: int, max_bytes: int) -> str:
        """The last lines of its output, at most `max_bytes`; a sentence in brackets when unreadable."""


class StrikeStore(Protocol):
    """Open cases of sick containers and their restarts. A claim that answers None or False was lost."""

    def open_cases(
        self, now: datetime, engine: str | None = None, name: str | None = None
    ) -> list[StrikeRecord]:
        """The open cases, of one engine and one name where given, ordered by both."""

    def claim_strike(
        self, container: Listed, reason: str, now: datetime, interval: timedelta
    ) -> StrikeRecord | None:
        """Count a strike unless the last one is younger than `interval`; the case as it then stands.

        Another container under the same name, and a case that had recovered, begin anew with one strike.
        """

    def claim_restart(self, case: StrikeRecord, now: datetime, budget: int, lease: timedelta) -> int | None:
        """Claim the next restart of a case while fewer than `budget` were claimed in 24 hours.

        An earlier attempt left unfinished for `lease` is marked as interrupted.
        """

    def finish_restart(self, restart_id: int, outcome: RestartOutcome, now: datetime) -> None:
        """Write down what came of a claimed restart; VERIFIED also sets the time of verification."""

    def quarantine(self, case: StrikeRecord, now: datetime) -> bool:
        """Allow no more restarts in this case; False when that was so already."""

    def claim_notice(self, case: StrikeRecord, notice: Notice, now: datetime, lease: timedelta) -> bool:
        """Claim the sending of a message about a case; a claim older than `lease` counts as abandoned."""

    def notice_delivered(self, case: StrikeRecord, notice: Notice, now: datetime) -> None:
        """The message is out. A recovery's message closes the case."""

    def release_notice(self, case: StrikeRecord) -> None:
        """The message could not be delivered: the next cycle may claim it at once."""

    def count_healthy(self, case: StrikeRecord, now: datetime, interval: timedelta) -> int | None:
        """Count a healthy cycle unless the last one is younger than `interval`; how many in a row now."""

    def sick_again(self, case: StrikeRecord) -> None:
        """Forget the healthy cycles counted so far."""

    def mark_recovered(self, case: StrikeRecord, now: datetime) -> bool:
        """The container is well; the case stays until people have been told. False: already marked."""

    def close(self, case: StrikeRecord) -> bool:
        """Forget the case; False when somebody else did."""
