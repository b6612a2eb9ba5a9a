"""The job `discord_commands`: opens the channel, the database and job control. Decides nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import discord_channel
from aegis_lib.approvals import service as approvals
from aegis_lib.approvals.model import Via
from aegis_lib.commands import service
from aegis_lib.commands.carrying_out import Hands
from aegis_lib.commands.model import CommandsReport
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, DiscordSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def obey() -> CommandsReport:
    """Take in what is new in the channel, carry it out, and answer each command once."""
    settings = DiscordSettings()
    with (
        discord_channel.connect(settings) as channel,
        database.connect(DatabaseSettings()) as db,
        _open.jobs() as jobs,
        _open.notifier() as notifier,
    ):
        hands = Hands(
            jobs=jobs, tasks=db.tasks, containers=db.container_cases, strikes=db.strikes, alerts=db.alerts,
            approve=partial(approvals.approve, db.approvals, via=Via.DISCORD),
            reject=partial(approvals.reject, db.approvals, via=Via.DISCORD),
            waiting=partial(approvals.pending, db.approvals),
        )  # fmt: skip
        return service.run_cycle(
            channel, db.commands, hands, db.memory, notifier,
            allowed=discord_channel.allowed_users(settings),
            config=_open.config().commands, now=clock.utcnow(),
        )  # fmt: skip


@job(timeout_seconds=55, retries=0)
def discord_commands() -> State[Any]:
    """Read commands in the Discord channel and obey those people who may: `!help` lists them.

    Only the ids in `DISCORD_ALLOWED_USERS` are obeyed. Every command is answered exactly once, also when a
    run dies in between; what cannot be known is said. What was written before the first start is not carried
    out, edits and deletions are ignored. docs/commands.md explains it. Ends as `NoInput` when nothing was
    written, as `Degraded` when something has to wait or Discord withholds texts.

    Raises:
        DependencyUnavailable: Discord or PostgreSQL does not answer; the next run is a minute away.
        Misconfigured: Discord refuses the token or the channel, or aegis.yaml is wrong.
    """
    return outcome(obey())
