"""Hears from the server when a run is waiting, cancelled or suspended, over one connection for all runs.

Hearing makes the worker quick, not right: whatever is missed here is found by the next poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter

from aegis_lib.logs import get_logger

log = get_logger(__name__)

_PREFIX = "prefect.flow-run."
WAITING = ("Scheduled", "Late", "Resuming", "AwaitingRetry", "AwaitingConcurrencySlot", "Rescheduled")
CANCELLING = "Cancelling"
SUSPENDED = "Suspended"
_PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class Listener:
    """Subscribes to the events of one work pool's runs, for as long as it runs."""

    def __init__(
        self,
        work_pool_id: UUID,
        on_waiting: Callable[[], None],
        on_control: Callable[[UUID, str], Awaitable[None]],
    ) -> None:
        """`on_control` is called with a run and `Cancelling` or `Suspended`."""
        self._filter = EventFilter(
            event=EventNameFilter(name=[_PREFIX + name for name in (*WAITING, CANCELLING, SUSPENDED)]),
            any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{work_pool_id}"]),
        )
        self._on_waiting, self._on_control = on_waiting, on_control
        self.connected = False

    async def run(self) -> None:
        """Listen for ever; connects again when the connection is lost."""
        failures = 0
        while True:
            heard = asyncio.get_running_loop().create_task(self._until_lost())
            try:
                await asyncio.wait((heard,))
            finally:
                heard.cancel()
            failures = 0 if self.connected else failures + 1
            self.connected = False
            error = heard.exception()  # of any kind: the connection is a convenience
            log.info("events_not_heard", reason=type(error).__name__ if error else "closed")
            await asyncio.sleep(_PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)])

    async def _until_lost(self) -> None:
        subscription = self._filter.model_copy(deep=True)
        async with get_events_subscriber(filter=subscription, reconnection_attempts=0) as events:
            self.connected = True
            self._on_waiting()  # for what came before we listened
            async for event in events:
                await self._take(event.event, event.resource.id)

    async def _take(self, event: str, resource: str) -> None:
        name = event.removeprefix(_PREFIX)
        if name in WAITING:
            self._on_waiting()
            return
        try:
            run_id = UUID(resource.removeprefix(_PREFIX))
        except ValueError:
            return
        await self._on_control(run_id, name)
