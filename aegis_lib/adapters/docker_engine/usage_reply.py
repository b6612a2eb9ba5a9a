"""What a Docker engine says of running containers and what they use, as our own types. It makes no call.

Fields: https://docs.docker.com/reference/api/engine/version/v1.41/ (ContainerList, ContainerStats). Unknown
fields are left alone. The numbers come from control groups, version 1 or 2; what is missing there is None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from aegis_lib.adapters.docker_engine.reply import parse_status
from aegis_lib.metrics.model import ContainerCounters, RunningContainer

_NO_LIMIT = 2**62
"""Control groups write a number of about 2^63 where there is no limit."""


class RunningItem(BaseModel):
    """One element of `GET /containers/json`."""

    id: str = Field(alias="Id")
    names: list[str] = Field(default_factory=list, alias="Names")
    image: str = Field(default="", alias="Image")
    image_id: str = Field(default="", alias="ImageID")
    state: str = Field(alias="State")
    status: str = Field(default="", alias="Status")

    def running(self) -> RunningContainer:
        own = next((name for name in self.names if name.count("/") == 1), None)
        _, _, up_seconds = parse_status(self.status)
        digest = self.image_id.removeprefix("sha256:")[:12]
        name = "" if self.image.removeprefix("sha256:").startswith(digest) and digest else self.image
        return RunningContainer(
            id=self.id,
            name=own.removeprefix("/") if own else self.id[:12],
            image=f"{name}@{digest}" if digest else name,
            up_seconds=up_seconds,
        )


class _CpuUsage(BaseModel):
    total_usage: int = 0


class _Throttling(BaseModel):
    periods: int = 0
    throttled_periods: int = 0


class _Cpu(BaseModel):
    cpu_usage: _CpuUsage = _CpuUsage()
    throttling_data: _Throttling = _Throttling()


class _Memory(BaseModel):
    usage: int | None = None
    limit: int | None = None
    stats: dict[str, int] = Field(default_factory=dict)

    def in_use(self) -> int | None:
        """Without the page cache that is given up at once, as `docker stats` shows it."""
        if self.usage is None:
            return None
        idle = self.stats.get("total_inactive_file", self.stats.get("inactive_file", 0))
        return self.usage - idle if idle < self.usage else self.usage


class _Transfer(BaseModel):
    op: str = ""
    value: int = 0


class _Disks(BaseModel):
    io_service_bytes_recursive: Annotated[list[_Transfer], BeforeValidator(lambda value: value or [])] = []

    def bytes_of(self, operation: str) -> int:
        """What was moved since the start; a container that has not touched a disk has no line."""
        return sum(one.value for one in self.io_service_bytes_recursive if one.op.lower() == operation)


class _Network(BaseModel):
    rx_bytes: int = 0
    tx_bytes: int = 0


class _Processes(BaseModel):
    current: int | None = None


class Usage(BaseModel):
    """`GET /containers/{id}/stats?stream=false&one-shot=true`."""

    read: AwareDatetime
    cpu_stats: _Cpu = _Cpu()
    memory_stats: _Memory = _Memory()
    blkio_stats: _Disks = _Disks()
    networks: dict[str, _Network] | None = None
    pids_stats: _Processes = _Processes()

    def counters(self) -> ContainerCounters | None:
        """Our own type; None for a container that does not run (its time is the year 1)."""
        if self.read.year < 1970:
            return None
        cpu, memory = self.cpu_stats, self.memory_stats
        limit = memory.limit if memory.limit is not None and memory.limit < _NO_LIMIT else None
        some = list((self.networks or {}).values())
        return ContainerCounters(
            at=self.read,
            cpu_seconds=cpu.cpu_usage.total_usage / 1e9,
            periods=cpu.throttling_data.periods,
            throttled_periods=cpu.throttling_data.throttled_periods,
            memory_bytes=memory.in_use(),
            memory_limit_bytes=limit,
            disk_read_bytes=self.blkio_stats.bytes_of("read"),
            disk_written_bytes=self.blkio_stats.bytes_of("write"),
            received_bytes=sum(one.rx_bytes for one in some) if some else None,
            sent_bytes=sum(one.tx_bytes for one in some) if some else None,
            processes=self.pids_stats.current,
        )
