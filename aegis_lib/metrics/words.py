"""How numbers of a series are written for people. Pure; it knows units, not what is unusual."""

from __future__ import annotations

from aegis_lib.metrics.model import METRICS, Kind, Metric, Unit
from aegis_lib.plot import amount


def shown(value: float | None, unit: Unit) -> str:
    """`38 %`, `1.5 cores`, `812 MB`, `2.3 kB/s`, `180 ms`; `-` for a value that is not known."""
    if value is None:
        return "-"
    match unit:
        case Unit.RATIO:
            return amount(round(value * 100, 2), "%")
        case Unit.COUNT:
            return amount(value)
        case Unit.PER_SECOND:
            return f"{amount(value)} a second"
        case _:
            return amount(value, unit.value)


def metric_of(kind: Kind, name: str) -> Metric | None:
    """The metric of that name, if there is one of that kind."""
    return METRICS[kind].get(name)


def of_series(value: float, series: str) -> str:
    """A value of a series, given by the series' name; a bare number for a series that is not known."""
    kind, _, rest = series.partition("/")
    metric = metric_of(Kind(kind), rest.rpartition("/")[2]) if kind in set(Kind) else None
    return amount(value) if metric is None else shown(value, metric.unit)
