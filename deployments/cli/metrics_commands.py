"""`aegis metrics`: what hosts and containers use. Reads the database only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.metrics.model import ContainerSample, HostSample, Kind

metrics = App(name="metrics", group=INSIGHT, help="Show what hosts and containers use.")
_FRESH = timedelta(hours=1)
_WIDTH = 40


@metrics.default
@metrics.command(name="list")
def list_metrics(*, json: Json = False) -> int:
    """List every host and container with its newest numbers of the last hour.

    Keys of --json: hosts and containers. Per host: host, at,
    interval_seconds, cpu_ratio, cpu_iowait_ratio, cpu_steal_ratio, cpu_count,
    load_1m, memory_used_ratio, memory_available_bytes, swap_used_ratio,
    disk_used_ratio, filesystems, disk_read_bytes_per_second,
    disk_written_bytes_per_second, disk_busy_ratio,
    network_received_bytes_per_second, network_sent_bytes_per_second,
    network_errors_per_second, processes, booted_at. Per container: engine,
    name, at, container_id, image, interval_seconds, cpu_cores,
    cpu_throttled_ratio, memory_bytes, memory_ratio, processes, and the disk
    and network rates of a host.

    For example:
        aegis metrics
        aegis metrics show web
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        hosts = db.metrics.newest_hosts(now - _FRESH)
        containers = db.metrics.newest_containers(now - _FRESH)
    if json:
        screen.as_json({"hosts": hosts, "containers": containers})
        return OK
    screen.table(
        ("HOST", "CPU", "LOAD", "MEMORY", "FULLEST DISK", "READ", "WRITTEN", "RECEIVED", "SENT", "AT (UTC)"),
        [(*_host_row(one), screen.moment(one.at, now)) for one in hosts],
        empty="No host was measured in the last hour. See: aegis history metrics_collect",
    )
    if containers:
        screen.say("")
        screen.table(
            ("CONTAINER", "ENGINE", "CPU", "MEMORY", "OF LIMIT", "READ", "WRITTEN", "RECEIVED", "SENT",
             "AT (UTC)"),
            [(*_container_row(one), screen.moment(one.at, now)) for one in containers],
            empty="",
        )  # fmt: skip
    if hosts or containers:
        screen.note("How did it go? aegis metrics show NAME")
    return OK


@metrics.command
def show(
    name: str,
    /,
    *,
    engine: Annotated[str | None, Parameter(name=["--engine", "-e"])] = None,
    hours: Annotated[
        float, Parameter(name=["--hours", "-H"], validator=validators.Number(gt=0, lte=24 * 31))
    ] = 24,
    json: Json = False,
) -> int:
    """Show how each metric of a host or a container went.

    A gap in a plot is a time without a measurement. Keys of --json, per
    series: series, unit, last, lowest, mean, highest, samples, points
    (at, value; null where nothing is known).

    For example:
        aegis metrics show local
        aegis metrics show web --hours 6
        aegis metrics show web --engine nas

    Args:
        name: A host or a container.
        engine: Only the container of this engine.
        hours: How far back, up to 744 (31 days).
        json: Print JSON for programs.
    """
    from aegis_lib.metrics.words import shown

    found = _series(name, engine, hours)
    if json:
        screen.as_json(found)
        return OK
    from aegis_lib.plot import sparkline

    for number, (owner, series) in enumerate(_by_owner(found).items()):
        if number:
            screen.say("")
        screen.table(
            (owner.upper(), "LAST", "LOWEST", "MEAN", "HIGHEST", f"LAST {hours:g} H"),
            [
                (
                    one["series"].rpartition("/")[2],
                    *(shown(one[key], one["unit"]) for key in ("last", "lowest", "mean", "highest")),
                    sparkline([value for _, value in one["points"]], _WIDTH),
                )
                for one in series
            ],
            empty="",
        )
    return OK


def _host_row(one: HostSample) -> tuple[str, ...]:
    from aegis_lib.metrics.model import Unit
    from aegis_lib.metrics.words import shown

    rate = Unit.BYTES_PER_SECOND
    return (
        one.host,
        shown(one.cpu_ratio, Unit.RATIO),
        shown(one.load_1m, Unit.COUNT),
        shown(one.memory_used_ratio, Unit.RATIO),
        shown(one.disk_used_ratio, Unit.RATIO),
        shown(one.disk_read_bytes_per_second, rate),
        shown(one.disk_written_bytes_per_second, rate),
        shown(one.network_received_bytes_per_second, rate),
        shown(one.network_sent_bytes_per_second, rate),
    )


def _container_row(one: ContainerSample) -> tuple[str, ...]:
    from aegis_lib.metrics.model import Unit
    from aegis_lib.metrics.words import shown

    rate = Unit.BYTES_PER_SECOND
    return (
        one.name,
        one.engine,
        shown(one.cpu_cores, Unit.CORES),
        shown(one.memory_bytes, Unit.BYTES),
        shown(one.memory_ratio, Unit.RATIO),
        shown(one.disk_read_bytes_per_second, rate),
        shown(one.disk_written_bytes_per_second, rate),
        shown(one.network_received_bytes_per_second, rate),
        shown(one.network_sent_bytes_per_second, rate),
    )


def _series(name: str, engine: str | None, hours: float) -> list[dict[str, Any]]:
    """Every series of the hosts and containers of that name that has a value."""
    from aegis_lib.db import database
    from aegis_lib.metrics.model import Kind

    now = clock.utcnow()
    since = now - timedelta(hours=hours)
    found: list[dict[str, Any]] = []
    with database.connect() as db:
        if engine is None:
            found += _summaries(Kind.HOST, (name,), db.metrics.of_host(name, since, now))
        of_name = [one for one in db.metrics.newest_containers(since) if one.name == name]
        for one in of_name:
            if engine in (None, one.engine):
                samples = db.metrics.of_container(one.engine, name, since, now)
                found += _summaries(Kind.CONTAINER, (one.engine, name), samples)
    if not found:
        where = f" of engine {engine}" if engine else ""
        raise NothingSuch(
            f"No host or container{where} {name!r} was measured in the last {hours:g} h. "
            "Fix: `aegis metrics` lists those that were."
        )
    return found


def _summaries(
    kind: Kind, owner: tuple[str, ...], samples: Sequence[HostSample | ContainerSample]
) -> list[dict[str, Any]]:
    from aegis_lib.metrics.model import METRICS

    found = []
    for metric in METRICS[kind].values():
        points = [(one.at, getattr(one, metric.name)) for one in samples]
        values = [value for _, value in points if value is not None]
        if not values:
            continue
        found.append(
            {
                "series": "/".join((kind.value, *owner, metric.name)),
                "unit": metric.unit,
                "last": values[-1],
                "lowest": min(values),
                "mean": sum(values) / len(values),
                "highest": max(values),
                "samples": len(values),
                "points": _with_gaps(points),
            }
        )
    return found


def _with_gaps(points: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The points, with an empty one after each that was not followed within three minutes."""
    found: list[tuple[Any, Any]] = []
    for at, value in points:
        if found and at - found[-1][0] > timedelta(minutes=3):
            found.append((found[-1][0] + timedelta(minutes=1), None))
        found.append((at, value))
    return found


def _by_owner(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    owners: dict[str, list[Mapping[str, Any]]] = {}
    for one in found:
        owners.setdefault(one["series"].rpartition("/")[0], []).append(one)
    return owners
