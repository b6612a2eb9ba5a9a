"""Looking at watched sites on demand, for a person who waits for it. Keeps nothing and tells nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aegis_lib.adapters.site_prober import prober
from aegis_lib.outcome import Frozen
from aegis_lib.sites.examination import Examination
from aegis_lib.sites.model import SitesConfig
from aegis_lib.sites.seen import Probe


class Look(Frozen):
    """What one look saw and what is wrong with it, in the words that an incident would have."""

    site: str
    good: bool
    problem: str | None
    slow: str | None
    certificate: str | None
    attempts: int
    probe: Probe


def look(config: SitesConfig, names: Sequence[str], now: datetime) -> list[Look]:
    """Look at these sites now, as the job would, whether they are due or not; in their order."""
    chosen = [watched for name in names if (watched := config.find(name)) is not None]
    with prober.connect(config) as opened:
        found = {
            finding.watched.site.name: Look(
                site=finding.watched.site.name,
                good=finding.verdict.failing is None,
                problem=finding.verdict.failing,
                slow=finding.verdict.slow,
                certificate=finding.verdict.ending,
                attempts=finding.attempts,
                probe=finding.probe.model_copy(update={"body": None}),
            )
            for finding in Examination(opened, config, now).look(chosen)
        }
    return [found[name] for name in names if name in found]
