"""`aegis doctor`: what is wrong with this installation, and how to mend it. Changes nothing.

Fast enough to be asked in passing: it never imports Prefect, asks with short time-outs, and looks at the
server, the database and the engines at the same time.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from aegis_lib import clock
from aegis_lib.alerts.model import Backlog, ChannelStanding
from aegis_lib.clock import iso
from aegis_lib.db import database as databases
from aegis_lib.db.spool import Spool
from aegis_lib.errors import AegisError, NotConfigured
from aegis_lib.ports.containers import ContainerEngine
from aegis_lib.settings import DatabaseSettings, DockerSettings, InstallationSettings
from deployments import language_models, ledger, leftovers, stack_lock
from deployments.check import Check, failed, guarded, start_command
from deployments.doctor_browser import browser_checks
from deployments.doctor_server import server_checks

LEAST_FREE_BYTES = 1_000_000_000
SLOW_DATABASE = timedelta(seconds=1)
OLD_MESSAGE = timedelta(minutes=5)
_PATIENCE_SECONDS = 2

_BOUNDS = {
    "sqlalchemy": ((2, 1), "with 2.1 the Prefect server plans no runs, without a word"),
    "fastapi": ((0, 151), "with 0.151 the Prefect server does not start"),
}
_PREFECT = ((3, 8, 8), (3, 9))
_REINSTALL = (
    "install what requirements.lock says: `make venv`, or pip install --force-reinstall of this project."
)


def checks() -> list[Check]:
    """Every check, in the order in which a person would look. Takes at most a few seconds.

    Raises:
        Misconfigured: a setting without which nothing can be looked at has a wrong value.
    """
    installation, database = InstallationSettings(), DatabaseSettings()
    groups: tuple[Callable[[], list[Check]], ...] = (
        lambda: [guarded("versions", versions_check), data_directory_check(installation)],
        lambda: database_checks(database),
        lambda: [alerts_check(database)],
        lambda: [guarded(language_models.NAME, lambda: models_check(database))],
        docker_checks,
        browser_checks,
        notification_checks,
        server_checks,
        lambda: [guarded("ledger of runs", lambda: ledger_check(database))],
        lambda: [guarded("spool", lambda: spool_check(installation)), leftovers_check(installation)],
    )
    with ThreadPoolExecutor(max_workers=len(groups)) as pool:
        return [check for group in pool.map(lambda look: look(), groups) for check in group]


def versions_check() -> Check:
    """Whether the libraries are of versions that work together."""
    found = {name: importlib.metadata.version(name) for name in ("prefect", *_BOUNDS)}
    return judge_versions(found)


def judge_versions(found: dict[str, str]) -> Check:
    """Decide over versions as pip names them."""
    wrong = [
        f"{name} {found[name]} is too new: {why}"
        for name, (limit, why) in _BOUNDS.items()
        if _numbers(found[name]) >= limit
    ]
    if not _PREFECT[0] <= _numbers(found["prefect"]) < _PREFECT[1]:
        wrong.append(f"prefect {found['prefect']} is not what this program was tested with (3.8.8 to 3.8.x)")
    said = ", ".join(f"{name} {version}" for name, version in found.items())
    return Check(
        name="versions",
        ok=not wrong,
        detail="; ".join(wrong) or said,
        fix=_REINSTALL if wrong else "",
    )


def data_directory_check(installation: InstallationSettings) -> Check:
    """Whether the data directory can be written and has room."""
    name, root = "data directory", installation.root
    if not root.is_dir():
        return Check(name=name, ok=None, detail=f"{root} is not there yet", fix="`aegis up` makes it.")
    if not os.access(root, os.W_OK | os.X_OK):
        return Check(
            name=name,
            ok=False,
            detail=f"{root} cannot be written by this user",
            fix="run aegis as its owner, or choose another AEGIS_DATA_DIR.",
        )
    free = shutil.disk_usage(root).free
    detail = f"{root}, {free / 1e9:.1f} GB free"
    enough = free >= LEAST_FREE_BYTES
    return Check(name=name, ok=enough, detail=detail, fix="" if enough else "make room on that disk.")


def database_checks(settings: DatabaseSettings) -> list[Check]:
    """Whether the jobs' database answers in time and has the schema of this program."""
    name = "database"
    brief = settings.model_copy(update={"connect_timeout_seconds": _PATIENCE_SECONDS})
    try:
        took = databases.prober(brief).ping()
    except AegisError as error:
        return [failed(name, error)]
    where = "embedded" if settings.embedded else f"at {settings.host}"
    quick = took <= SLOW_DATABASE
    answer = Check(
        name=name,
        ok=quick,
        detail=f"{where}, answered in {took / timedelta(milliseconds=1):.0f} ms",
        fix="" if quick else "see what else runs on that machine.",
    )
    return [answer, guarded("schema", lambda: _schema(brief))]


def _schema(settings: DatabaseSettings) -> Check:
    from aegis_lib.db import migrate  # a second of imports, needed only here

    now, head = migrate.current(settings), migrate.head()
    detail = f"at {now}" if now == head else f"at {now or 'nothing'}, this program has {head}"
    fix = "" if now == head else f"run `{start_command()}`, or `python -m aegis_lib.db.migrate upgrade`."
    return Check(name="schema", ok=now == head, detail=detail, fix=fix)


def alerts_check(settings: DatabaseSettings) -> Check:
    """Whether what is to be told is told. Without the database that cannot be judged."""
    brief = settings.model_copy(update={"connect_timeout_seconds": _PATIENCE_SECONDS})
    now = clock.utcnow()
    try:
        with databases.connect(brief) as db:
            return judge_alerts(db.alerts.backlog(now), db.alerts.channels(), now)
    except AegisError:
        return Check(
            name="alerts", ok=None, detail="not seen without the database", fix="mend the database first."
        )


def judge_alerts(backlog: Backlog, channels: list[ChannelStanding], now: datetime) -> Check:
    """Decide over what waits in the outbox of alerts, and how its channels do."""
    wrong = [
        f"{channel.channel} failed {channel.failures} times in a row: {channel.problem}"
        for channel in channels
        if channel.failures
    ]
    if backlog.oldest is not None and now - backlog.oldest > OLD_MESSAGE:
        wrong.insert(0, f"{backlog.undelivered} messages wait, the oldest since {iso(backlog.oldest)}")
    if backlog.given_up:
        wrong.append(f"{backlog.given_up} messages of the last day were given up")
    said = f"{backlog.open} open" if backlog.open else "none open"
    return Check(
        name="alerts",
        ok=not wrong,
        detail="; ".join([said, *wrong]),
        fix="`aegis notify test` tries the channels; `aegis alerts` tells more." if wrong else "",
    )


def models_check(settings: DatabaseSettings) -> Check:
    """Whether a language model answers, where one is set; nobody is asked for it."""
    brief = settings.model_copy(update={"connect_timeout_seconds": _PATIENCE_SECONDS})
    return language_models.check(brief, clock.utcnow())


def ledger_check(settings: DatabaseSettings) -> Check:
    """Whether every due run is accounted for, and somebody looks."""
    return ledger.check(
        settings.model_copy(update={"connect_timeout_seconds": _PATIENCE_SECONDS}), clock.utcnow()
    )


def docker_checks() -> list[Check]:
    """Whether each Docker engine answers and lets us in. None at all is not a failure."""
    name = "Docker"
    try:
        settings = DockerSettings()
        from aegis_lib.adapters.docker_engine import engines as docker_engine

        brief = settings.model_copy(update={"timeout_seconds": _PATIENCE_SECONDS})
        with docker_engine.connect(brief) as engines:
            return [guarded(f"{name} {engine.name}", partial(_engine, engine)) for engine in engines]
    except NotConfigured as absent:
        return [Check(name=name, ok=None, detail="not configured", fix=str(absent).partition(": ")[2])]
    except ImportError:
        return [
            Check(
                name=name,
                ok=None,
                detail="the library for it is not installed",
                fix="pip install 'aegis-scheduler[docker]', if containers are to be watched.",
            )
        ]
    except AegisError as error:
        return [failed(name, error)]


def _engine(engine: ContainerEngine) -> Check:
    count = len(engine.containers())
    detail = "1 container" if count == 1 else f"{count} containers"
    return Check(name=f"Docker {engine.name}", ok=True, detail=detail)


def notification_checks() -> list[Check]:
    """Whether people can be told, as far as settings show it; `aegis notify test` sends a message."""
    name = "notifications"
    from aegis_lib.adapters.notify import fanout
    from aegis_lib.adapters.notify.channel import Broken
    from aegis_lib.adapters.notify.console import VARIABLES, Console

    try:
        with fanout.connect() as notifier:
            channels = notifier.channels
    except AegisError as error:
        return [failed(name, error)]
    broken = [failed(name, channel.error) for channel in channels if isinstance(channel, Broken)]
    if broken:
        return broken
    if any(isinstance(channel, Console) for channel in channels):
        return [
            Check(name=name, ok=None, detail="not configured: alerts go to the log", fix=f"set {VARIABLES}.")
        ]
    return [Check(name=name, ok=True, detail=", ".join(channel.name for channel in channels))]


def spool_check(installation: InstallationSettings) -> Check:
    """Whether records wait for the database."""
    waiting = Spool(installation.spool_dir).pending() if installation.spool_dir.is_dir() else 0
    rejected = installation.spool_dir / "rejected.jsonl"
    if waiting:
        return Check(
            name="spool",
            ok=False,
            detail=f"{waiting} records wait for the database",
            fix="nothing is lost: the next health check stores them once the database answers.",
        )
    if rejected.exists() and rejected.stat().st_size:
        return Check(
            name="spool",
            ok=None,
            detail=f"{rejected} holds records that could not be stored",
            fix="read it, then remove it.",
        )
    return Check(name="spool", ok=True, detail="empty")


def leftovers_check(installation: InstallationSettings) -> Check:
    """Whether a killed stack left processes behind."""
    name, root = "processes", installation.root
    if holder := stack_lock.holder(root):
        return Check(name=name, ok=True, detail=f"aegis up runs as process {holder.pid}, {holder.url}")
    if left := leftovers.marked(root):
        return Check(
            name=name,
            ok=False,
            detail=f"{len(left)} processes of a killed `aegis up` are left",
            fix="`aegis down` ends them; so does the next `aegis up`.",
        )
    return Check(name=name, ok=True, detail="no `aegis up` runs on this data directory")


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
