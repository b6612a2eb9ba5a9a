"""The container that brings database and server up to this version of the project, and ends."""

from __future__ import annotations

from aegis_lib import clock
from aegis_lib.db.migrate import upgrade
from aegis_lib.logs import set_level
from aegis_lib.settings import DatabaseSettings, LogSettings
from deployments import catalogue, ledger, sync
from deployments.api import PrefectApi
from deployments.compose.parts import insist, say
from deployments.flow_facts import read_flow_facts
from deployments.project import CATALOGUE, project_root


def deploy() -> int:
    """Migrate the jobs' database, bring jobs and automations to the server; then it is done.

    Raises:
        Misconfigured: a setting has a wrong value.
        PermanentFailure: the database was migrated by a newer version, a flow cannot be imported.
        DependencyUnavailable: database or server do not answer for two minutes.
    """
    database = DatabaseSettings()
    set_level(LogSettings().level)
    applied = insist(lambda: upgrade(database))
    say(f"Migrations: {', '.join(applied) or 'nothing to do'}")
    root = project_root()
    jobs = catalogue.read(root / CATALOGUE)
    facts = read_flow_facts(jobs.jobs, root)
    with PrefectApi.from_settings() as api:
        since = clock.utcnow()
        report = insist(lambda: sync.deploy(api, jobs, root=root, facts=facts))
    ledger.write_plan(jobs.jobs, facts, database, since)
    say(report.summary)
    return 0
