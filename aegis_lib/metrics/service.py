"""One collection: every source is read, its rates are made, its samples kept. It judges no value.

Sources are the machine that the job runs on and the engines with their containers. One that cannot be read
does not spoil the others; that an engine is away is told by the health check of containers, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aegis_lib import isolation
from aegis_lib.errors import AegisError
from aegis_lib.logs import get_logger
from aegis_lib.metrics import policy
from aegis_lib.metrics.model import (
    CollectionReport,
    ContainerCounters,
    EngineReading,
    MetricsConfig,
    RunningContainer,
)
from aegis_lib.outcome import Outcome
from aegis_lib.ports.metrics import ContainerMeter, HostMeter, MetricStore

SILENT_CONTAINERS = 3
"""So many containers without an answer mean that the engine, not they, is in trouble."""
log = get_logger(__name__)


@dataclass
class _Collection:
    store: MetricStore
    config: MetricsConfig
    now: datetime
    hosts: int = 0
    containers: int = 0
    gaps: int = 0
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def host(self, meter: HostMeter) -> None:
        before = self.store.host_reading(self.config.host)
        if before and not policy.due(before.taken_at, self.now):
            self.skipped.append(f"host {self.config.host}")
            return
        reading = meter.reading()
        sample = policy.host_sample(before, reading, self.config.longest_gap_seconds)
        if self.store.keep_host(before, reading, sample):
            self.hosts += 1
        else:
            self.skipped.append(f"host {self.config.host}")

    def engine(self, meter: ContainerMeter) -> None:
        before = self.store.engine_reading(meter.name)
        if before and not policy.due(before.taken_at, self.now):
            self.skipped.append(f"engine {meter.name}")
            return
        running = [
            one for one in meter.running() if not policy.ignored(one.name, self.config.ignore_containers)
        ]
        reading = EngineReading(
            engine=meter.name, taken_at=self.now, containers=self._counters(meter, running)
        )
        samples = policy.container_samples(before, reading, running, self.config.longest_gap_seconds)
        if self.store.keep_engine(before, reading, samples):
            self.containers += len(samples)
        else:
            self.skipped.append(f"engine {meter.name}")

    def _counters(
        self, meter: ContainerMeter, running: Sequence[RunningContainer]
    ) -> dict[str, ContainerCounters]:
        names = {one.id: one.name for one in running}
        answers = meter.counters(list(names))
        errors = {id: said for id, said in answers.items() if isinstance(said, AegisError)}
        if errors and (len(errors) >= SILENT_CONTAINERS or len(errors) == len(answers)):
            raise next(iter(errors.values()))
        self.gaps += len(errors)
        self.problems += [f"{meter.name}: {names[id]}: {error}" for id, error in errors.items()]
        return {id: said for id, said in answers.items() if not isinstance(said, AegisError)}


def collect(
    host: HostMeter | None,
    engines: Sequence[ContainerMeter],
    store: MetricStore,
    config: MetricsConfig,
    now: datetime,
) -> CollectionReport:
    """Read the machine and every engine once, and keep the samples.

    A source that was read less than half a minute ago is left alone, so that a second run changes nothing.

    Raises:
        DependencyUnavailable: no source could be read, or the database is away.
        PermanentFailure: no source could be read, for a reason that lasts.
    """
    found = _Collection(store, config, now)

    def read(source: HostMeter | ContainerMeter) -> None:
        if source is host:
            found.host(source)
        else:
            found.engine(source)  # type: ignore[arg-type]

    sources: list[HostMeter | ContainerMeter] = [*([host] if host else []), *engines]
    outcome = isolation.each(sources, read)
    found.problems += [str(error) for _, error in outcome.failures]
    report = CollectionReport(
        outcome=Outcome.DEGRADED if found.problems else Outcome.COMPLETED,
        summary=_summary(found),
        hosts=found.hosts,
        containers=found.containers,
        gaps=found.gaps,
        skipped=tuple(found.skipped),
        problems=tuple(found.problems),
    )
    log.info("metrics_collected", hosts=report.hosts, containers=report.containers, gaps=report.gaps)
    return report


def _summary(found: _Collection) -> str:
    text = f"{found.hosts} host and {found.containers} containers measured."
    if found.skipped:
        text += f" Read a moment ago by another run: {', '.join(found.skipped)}."
    if found.problems:
        text += f" {len(found.problems)} problems; the first: {found.problems[0]}"
    return text
