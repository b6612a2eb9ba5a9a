"""Each configured channel by itself, for whoever keeps receipts. It tries once and must not wait or retry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aegis_lib.adapters.notify import fanout
from aegis_lib.adapters.notify.channel import Channel
from aegis_lib.alerts.model import Attempt, Message
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import AlertUrlSettings, DiscordSettings, TelegramSettings
from aegis_lib.web import exchange


class SingleChannel:
    """Implements the port `AlertChannel` on one channel."""

    def __init__(self, channel: Channel[Any]) -> None:
        self._channel = channel

    @property
    def name(self) -> str:
        """What receipts call it."""
        return self._channel.name

    def send(self, message: Message, parts_sent: int = 0) -> Attempt:
        """Send what is left of the message after `parts_sent` parts, as far as it goes."""
        done, reference = parts_sent, None
        try:
            for part in self._channel.parts(message)[parts_sent:]:
                posted = self._channel.post(part)
                reference = reference or posted
                done += 1
        except DependencyUnavailable as away:
            return Attempt(
                delivered=False,
                parts_sent=done,
                reference=reference,
                problem=str(away),
                again=True,
                retry_after_seconds=away.retry_after_seconds,
            )
        except Misconfigured as wrong:  # somebody will mend the setting, and then it must still arrive
            return Attempt(
                delivered=False, parts_sent=done, reference=reference, problem=str(wrong), again=True
            )
        except PermanentFailure as refusal:
            return Attempt(delivered=False, parts_sent=done, reference=reference, problem=str(refusal))
        return Attempt(delivered=True, parts_sent=done, reference=reference)


@contextmanager
def connect(
    discord_settings: DiscordSettings | None = None,
    telegram_settings: TelegramSettings | None = None,
    url_settings: AlertUrlSettings | None = None,
) -> Iterator[Sequence[SingleChannel]]:
    """Every channel that takes alerts; the console where none is configured.

    Settings not given are read from the environment. A channel that is half configured refuses every message
    and names the variable.
    """
    with exchange.connect() as client:
        found = fanout.configured(client, discord_settings, telegram_settings, url_settings)
        yield [SingleChannel(channel) for channel in found if channel.takes(fanout.PROBE)]
