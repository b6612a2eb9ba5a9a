"""The console twin of the notifiers: writes messages to the log where no channel is configured.

It must not be mistaken for delivery, so the first message of a process comes with a line that says how to
configure a real channel.
"""

from __future__ import annotations

from functools import cache

from aegis_lib.alerts.model import Message, Severity
from aegis_lib.logs import get_logger

log = get_logger(__name__)

VARIABLES = (
    "DISCORD_BOT_TOKEN and DISCORD_ALERTS_CHANNEL, DISCORD_WEBHOOK_URL, "
    "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or ALERT_URLS"
)


class Console:
    """A channel that ends in the log."""

    name = "console"

    def takes(self, message: Message) -> bool:
        """Alerts; the journal has its file already."""
        return message.audience == "alerts"

    def parts(self, message: Message) -> tuple[Message]:
        """The message itself."""
        return (message,)

    def post(self, part: Message) -> str | None:
        """Write one line, at a level that fits the severity."""
        _say_once()
        write = {Severity.INFO: log.info, Severity.WARNING: log.warning, Severity.CRITICAL: log.error}
        write[part.severity]("notification", severity=part.severity, title=part.title, body=part.body)
        return None


@cache
def _say_once() -> None:
    log.info("no_notification_channel", hint=f"messages only appear here; set {VARIABLES}.")
