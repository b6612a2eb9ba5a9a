"""Keeps tokens out of log lines and error texts. Must not be where a secret is stored for use.

Some services want their token in the address, and HTTP libraries write addresses into their own logs and
exceptions. A secret given to `protect` is replaced by `***` in what those libraries log from then on,
whatever handlers there are (Prefect's too), and in every text passed through `redact`.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

HIDDEN = "***"
TALKATIVE = ("httpx", "httpcore.http11", "httpcore.connection", "urllib3.connectionpool", "apprise")
SHORTEST_PART_CHARACTERS = 5
"""Shorter parts of an address are ordinary words; hiding them would hide too much."""


class _Redactor(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._secrets: tuple[str, ...] = ()

    def add(self, secrets: set[str]) -> None:
        known = {*self._secrets, *(secret for secret in secrets if secret)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        cleaned = self.clean(said)
        if cleaned != said:
            record.msg, record.args = cleaned, ()
        if record.exc_info and self._secrets:
            record.exc_info = None
        return True


_redactor = _Redactor()


def protect(secret: SecretStr) -> str:
    """Return the plain secret for immediate use, after making sure that no library logs it."""
    plain = secret.get_secret_value()
    _redactor.add({plain})
    _watch()
    return plain


def protect_address(address: str) -> None:
    """Hide an address that contains secrets, and each part of it that may be one."""
    parts = {address}
    try:
        split = urlsplit(address)
        parts |= {split.netloc, split.username or "", split.password or "", split.hostname or ""}
        parts |= {*split.path.split("/"), *split.query.replace("&", "=").split("="), split.fragment}
    except ValueError:
        parts |= set(address.replace("/", " ").split())
    parts |= {unquote(part) for part in parts}
    _redactor.add({part for part in parts if len(part) >= SHORTEST_PART_CHARACTERS})
    _watch()


def redact(text: str) -> str:
    """The text with every protected secret replaced."""
    return _redactor.clean(text)


def _watch() -> None:
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_redactor)
