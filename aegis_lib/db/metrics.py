"""The store of what hosts and containers use. It makes no rates and judges nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from aegis_lib.db.partitions import Partitions
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import storable_json
from aegis_lib.logs import get_logger
from aegis_lib.metrics.model import ContainerSample, EngineReading, HostReading, HostSample
from aegis_lib.outcome import Frozen

HOST_TABLE, CONTAINER_TABLE = "host_metrics", "container_metrics"
T = TypeVar("T", bound=Frozen)
log = get_logger(__name__)


class MetricStore:
    """Implements the port `MetricStore`, and reads for people. See the port for the exact meaning."""

    def __init__(self, queries: Queries, partitions: Partitions) -> None:
        self._queries = queries
        self._partitions = partitions

    def host_reading(self, host: str) -> HostReading | None:
        """The last reading of a host; None when there is none that can be understood."""
        return self._reading(HostReading, f"host:{host}")

    def engine_reading(self, engine: str) -> EngineReading | None:
        """The last reading of an engine's containers; None when there is none that can be understood."""
        return self._reading(EngineReading, f"engine:{engine}")

    def keep_host(self, before: HostReading | None, now: HostReading, sample: HostSample) -> bool:
        """Keep the sample and the reading it was made of; False when another process was first."""
        row = sample.model_dump() | {"filesystems": storable_json(sample.filesystems)}
        taken = before.taken_at if before else None
        return self._keep(
            f"host:{now.host}", taken, now, HOST_TABLE, lambda: self._queries.insert_host(**row)
        )

    def keep_engine(
        self, before: EngineReading | None, now: EngineReading, samples: Sequence[ContainerSample]
    ) -> bool:
        """Keep the samples and the reading they were made of; False when another process was first."""
        rows = storable_json({"rows": [sample.model_dump() for sample in samples]})
        taken = before.taken_at if before else None
        return self._keep(
            f"engine:{now.engine}",
            taken,
            now,
            CONTAINER_TABLE,
            lambda: self._queries.insert_containers(samples=rows),
        )

    def newest_hosts(self, since: datetime) -> list[HostSample]:
        """The newest sample of each host since a time."""
        return [HostSample.model_validate(row) for row in self._queries.newest_hosts(since=since)]

    def newest_containers(self, since: datetime) -> list[ContainerSample]:
        """The newest sample of each container since a time, by engine and name."""
        return [ContainerSample.model_validate(row) for row in self._queries.newest_containers(since=since)]

    def of_host(self, host: str, since: datetime, until: datetime) -> list[HostSample]:
        """A host's samples after `since` up to `until`, the oldest first."""
        rows = self._queries.host_samples(host=host, since=since, until=until)
        return [HostSample.model_validate(row) for row in rows]

    def of_container(self, engine: str, name: str, since: datetime, until: datetime) -> list[ContainerSample]:
        """A container's samples after `since` up to `until`, the oldest first."""
        rows = self._queries.container_samples(engine=engine, name=name, since=since, until=until)
        return [ContainerSample.model_validate(row) for row in rows]

    def _reading(self, kind: type[T], source: str) -> T | None:
        text = self._queries.reading(source=source)
        try:
            return None if text is None else kind.model_validate(json.loads(text))
        except ValidationError:  # of another version: the next rates begin anew
            log.warning("metric_reading_not_understood", source=source)
            return None

    def _keep(
        self,
        source: str,
        before: datetime | None,
        now: HostReading | EngineReading,
        table: str,
        insert: Callable[[], Any],
    ) -> bool:
        """Replace the reading if it is still the one of `before`, and only then insert."""
        self._partitions.ensure(table, now.taken_at)
        said = {
            "source": source,
            "taken_at": now.taken_at,
            "reading": storable_json(now.model_dump()),
        }
        with self._queries.transaction():
            if before is not None:
                kept = self._queries.next_reading(**said, before=before)
            else:
                # A reading that could not be understood is in the way of the first one.
                kept = self._queries.first_reading(**said)
                if not kept and self._not_understood(source, now):
                    kept = self._queries.replace_reading(**said)
            if kept:
                insert()
        return bool(kept)

    def _not_understood(self, source: str, now: HostReading | EngineReading) -> bool:
        return self._reading(type(now), source) is None
