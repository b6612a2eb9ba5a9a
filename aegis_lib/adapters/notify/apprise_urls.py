"""Further services through Apprise, one channel per address of `ALERT_URLS`. Must never show an address.

Apprise wiki: "Development API" (`Apprise.instantiate`, `notify`, `body_format`), "URL Basics". `notify`
returns False and does not raise, and the reason is only in Apprise's log. That log also contains whole
addresses, so it is taken over here: warnings become the reason, with every part of the address hidden, and
nothing else passes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import AlertUrlSettings
from aegis_lib.web import text
from aegis_lib.web.secrecy import protect_address, redact

LONGEST_BODY_CHARACTERS = 20_000

_SCHEME = re.compile(r"([a-z][a-z0-9+]{1,20})://", re.IGNORECASE)


def channels(settings: AlertUrlSettings) -> list[AppriseUrl]:
    """One channel per address.

    Raises:
        Misconfigured: an address that Apprise cannot use; it is named by its number, not shown.
    """
    if settings.urls is None:
        return []
    addresses = settings.urls.get_secret_value().split()
    return [AppriseUrl(address, number) for number, address in enumerate(addresses, start=1)]


class AppriseUrl:
    """One service that Apprise speaks to."""

    def __init__(self, address: str, number: int) -> None:
        import apprise  # only where it is used: it takes 0.2 s

        protect_address(address)
        with _log_taken() as reasons:
            service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if service is None:
            scheme = _SCHEME.match(address)
            known = scheme is not None and scheme[1].lower() in cast(Any, apprise.plugins).N_MGR.schemas()
            about = f"the {scheme[1].lower()}:// address is incomplete or wrong" if scheme and known else (
                "it does not begin with a service that Apprise knows"
            )  # fmt: skip
            raise Misconfigured(
                "ALERT_URLS",
                f"entry {number} cannot be used: {about}.{_said(reasons)}",
                "write it as Apprise documents that service; separate entries by spaces.",
            )
        self._apprise, self._service = apprise, service
        self._number, self._scheme = number, str(service.schema)

    @property
    def name(self) -> str:
        """The service and the entry's number: `apprise-1 (mailtos)`."""
        return f"apprise-{self._number} ({self._scheme})"

    def takes(self, message: Message) -> bool:
        """Alerts; the journal is not sent here."""
        return message.audience == "alerts"

    def parts(self, message: Message) -> tuple[Message]:
        """The message itself; Apprise splits for each service."""
        return (message,)

    def post(self, part: Message) -> str | None:
        """Hand the message to Apprise; see `Channel.post`. It cannot tell a refusal from an outage."""
        kinds = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
        # As plain text for services that show HTML: Apprise would pass a `<` in Markdown on as markup.
        takes_markdown = self._service.notify_format == self._apprise.NotifyFormat.MARKDOWN
        sender = self._apprise.Apprise()
        title = text.one_line(part.title, 200)
        body = text.clean(part.body)[:LONGEST_BODY_CHARACTERS]
        with _log_taken() as reasons:
            sender.add(self._service)
            delivered = sender.notify(
                title=title if body else "",  # Apprise sends nothing without a body
                body=body or title,
                notify_type=kinds[part.severity],
                body_format="markdown" if takes_markdown else "text",
            )
        if delivered:
            return None
        raise DependencyUnavailable(
            self.name,
            f"did not take the message.{_said(reasons)}",
            f"check entry {self._number} of ALERT_URLS and whether the service is up.",
        )


def _said(reasons: list[str]) -> str:
    return f" Apprise says: {' '.join(reasons)[:500]}" if reasons else ""


class _Collector(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            self.reasons.append(redact(record.getMessage()))
        return False


@contextmanager
def _log_taken() -> Iterator[list[str]]:
    """Apprise's own log lines of warnings and errors, which then reach no handler."""
    logger = cast(Any, logging.getLogger("apprise"))
    collector = _Collector()
    logger.addFilter(collector)
    try:
        yield collector.reasons
    finally:
        logger.removeFilter(collector)
