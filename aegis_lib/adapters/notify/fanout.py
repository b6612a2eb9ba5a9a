"""Sends one message to every configured channel, each on its own. Must not lose one because another is sick.

All first attempts are made before any second one. A transient failure is tried again after a wait that grows
and is jittered, or that the service asked for, until the time for the whole message is up; a part that was
delivered is not sent again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from aegis_lib.adapters.notify import apprise_urls, discord, telegram
from aegis_lib.adapters.notify.channel import Broken, Channel
from aegis_lib.adapters.notify.console import Console
from aegis_lib.alerts.model import Message, Receipt
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.isolation import each
from aegis_lib.logs import get_logger
from aegis_lib.settings import AlertUrlSettings, DiscordSettings, TelegramSettings
from aegis_lib.web import exchange
from aegis_lib.web.secrecy import redact

log = get_logger(__name__)

TOTAL_SECONDS = 45.0
"""No attempt begins later than this after the first; one that has begun may take 10 s more."""
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 1.0
PROBE = Message(title="probe", audience="alerts")
"""What a channel for alerts takes."""


@contextmanager
def connect(
    discord_settings: DiscordSettings | None = None,
    telegram_settings: TelegramSettings | None = None,
    url_settings: AlertUrlSettings | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Fanout]:
    """A notifier over every channel that the settings name; the console where none is set up.

    Settings not given are read from the environment. The Apprise library is loaded only for `ALERT_URLS`. A
    channel that is half configured refuses every message and names the variable; it keeps neither the other
    channels nor the job from working.
    """
    with exchange.connect() as client:
        yield Fanout(configured(client, discord_settings, telegram_settings, url_settings), sleep=sleep)


def configured(
    client: httpx.Client,
    discord_settings: DiscordSettings | None = None,
    telegram_settings: TelegramSettings | None = None,
    url_settings: AlertUrlSettings | None = None,
) -> list[Channel[Any]]:
    """Every channel that the settings name, with the console where none takes alerts; see `connect`."""
    services: dict[str, Callable[[], Sequence[Channel[Any]]]] = {
        "discord": lambda: discord.channels(discord_settings or DiscordSettings(), client),
        "telegram": lambda: telegram.channels(telegram_settings or TelegramSettings(), client),
        "apprise": lambda: apprise_urls.channels(url_settings or AlertUrlSettings()),
    }
    found = [channel for name, build in services.items() for channel in _built(name, build)]
    if not any(channel.takes(PROBE) for channel in found):
        found.append(Console())
    return found


def _built(name: str, build: Callable[[], Sequence[Channel[Any]]]) -> Sequence[Channel[Any]]:
    try:
        return build()
    except Misconfigured as error:
        return [Broken(name, error)]


@dataclass
class _Delivery:
    """How far one channel has come with one message."""

    channel: Channel[Any]
    parts: Sequence[Any]
    due: float
    done: int = 0
    failures_in_a_row: int = 0
    reference: str | None = None
    delivered: bool = False
    again: bool = False
    problem: DependencyUnavailable | PermanentFailure | None = None

    def __str__(self) -> str:
        return self.channel.name

    def receipt(self) -> Receipt:
        problem = None if self.problem is None else str(self.problem)
        return Receipt(
            channel=self.channel.name, delivered=self.delivered, reference=self.reference, problem=problem
        )


class Fanout:
    """The `Notifier` over several channels. `sleep` and `clock` count seconds, `jitter` is in 0 to 1."""

    def __init__(
        self,
        channels: Sequence[Channel[Any]],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.channels = tuple(channels)
        self._sleep, self._clock, self._jitter, self._total = sleep, clock, jitter, total_seconds

    def send(self, message: Message) -> tuple[Receipt, ...]:
        """See `Notifier.send`. A journal message without a journal channel has no receipt.

        Raises:
            DependencyUnavailable: every channel failed and at least one failure was transient.
            PermanentFailure: every channel refused for good.
        """
        start = self._clock()
        deliveries = [
            _Delivery(channel, channel.parts(message), due=start)
            for channel in self.channels
            if channel.takes(message)
        ]
        if not deliveries:
            log.debug("notification_without_channel", audience=message.audience, title=message.title)
            return ()
        first = each(deliveries, self._advance)
        for delivery, error in first.failures:
            delivery.problem = PermanentFailure(redact(f"a defect: {type(error).__name__}: {error}"))
        open_ones = [one for one in deliveries if one.again]
        while open_ones:
            delivery = min(open_ones, key=lambda one: one.due)
            wait = delivery.due - self._clock()
            if delivery.due > start + self._total:
                open_ones.remove(delivery)
                continue
            if wait > 0:
                self._sleep(wait)
            self._advance(delivery)
            if not delivery.again:
                open_ones.remove(delivery)
        self._tell(message, deliveries)
        return tuple(delivery.receipt() for delivery in deliveries)

    def _advance(self, delivery: _Delivery) -> None:
        """Send what is left of a delivery, as far as it goes."""
        delivery.again = False
        try:
            while delivery.done < len(delivery.parts):
                reference = delivery.channel.post(delivery.parts[delivery.done])
                delivery.reference = delivery.reference or reference
                delivery.done += 1
                delivery.failures_in_a_row = 0
        except DependencyUnavailable as error:
            delivery.problem = error
            delivery.failures_in_a_row += 1
            delivery.due = self._clock() + self._wait(delivery.failures_in_a_row, error)
            delivery.again = delivery.failures_in_a_row < ATTEMPTS
        except PermanentFailure as error:
            delivery.problem = error
        else:
            delivery.delivered, delivery.problem = True, None

    def _wait(self, failures: int, error: DependencyUnavailable) -> float:
        """Seconds to the next attempt: 0.5 to 1, 1 to 2, 2 to 4, or a bit more than the service asked for."""
        grown = FIRST_WAIT_SECONDS * 2 ** (failures - 1) * (0.5 + self._jitter() / 2)
        asked = error.retry_after_seconds
        return grown if asked is None else asked + 0.1 * self._jitter()

    def _tell(self, message: Message, deliveries: Sequence[_Delivery]) -> None:
        failed = [one for one in deliveries if one.problem is not None]
        for one in failed:
            log.warning(
                "notification_failed",
                channel=one.channel.name,
                title=message.title,
                delivered_parts=one.done,
                parts=len(one.parts),
                error=str(one.problem),
            )
        if len(failed) < len(deliveries):
            return
        problems = " ".join(f"[{one.channel.name}] {one.problem}" for one in failed)
        transient = [one.problem for one in failed if isinstance(one.problem, DependencyUnavailable)]
        if transient:
            waits = [
                error.retry_after_seconds for error in transient if error.retry_after_seconds is not None
            ]
            raise DependencyUnavailable(
                "notifications",
                f"no channel took the message. {problems}",
                retry_after_seconds=min(waits, default=None),
            )
        raise PermanentFailure(f"notifications: every channel refused the message. {problems}")
