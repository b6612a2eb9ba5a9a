"""Log lines for machines and people: `event=docker_restarted container=web strike=2`, one line per event.

Lines go into the standard library's logging, which Prefect forwards to the UI for the logger `aegis_lib`;
there they carry no time, because the UI shows its own. `configure` prints them with a time for processes
that are not runs. This module must not decide what is worth saying, and never prints a secret: a value that
knows how to hide itself (pydantic's SecretStr), a text field named like a secret and the password in an
address all come out as `***`.

The line's format is logfmt as structlog renders it. structlog is imported with the first line that is really
written, because it costs more than everything else here together.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Literal, TextIO

from aegis_lib.clock import iso

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

PACKAGES = ("aegis_lib", "flows", "deployments")
"""Our own packages, whose lines are shown from `INFO` up unless told otherwise."""

HIDDEN = "***"
LONGEST_VALUE_CHARACTERS = 8000
"""A longer value is cut, so that one container's output cannot fill a log."""

_UNFIT_FOR_KEY = re.compile(r"[^\w.-]+")
_SECRET_KEY = re.compile(r"(^|[_.-])(password|passwd|secret|token|api_key|authorization)$", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Logger:
    """Writes events of one module. Fields are keyword arguments; any key and any value can be written."""

    __slots__ = ("_log",)

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        """Something only a developer looks for."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Something that happened as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something that a person should look at some day."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Something that failed."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._log.isEnabledFor(level):
            self._log.log(level, line(event, fields), stacklevel=3, extra={"aegis_event": event})


def get_logger(name: str) -> Logger:
    """The logger of a module, by its `__name__`."""
    package = logging.getLogger(name.partition(".")[0])
    if package.name in PACKAGES and package.level == logging.NOTSET:
        package.setLevel(logging.INFO)
    return Logger(name)


def set_level(level: Level) -> None:
    """Show our own lines from this level up, wherever they go."""
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)


def configure(level: Level = "INFO", stream: TextIO | None = None) -> None:
    """Print log lines with their time to `stream` (default: standard error). Calling it again replaces it.

    Lines of ours are shown from `level` up, those of libraries from WARNING up. Not for Prefect runs, where
    Prefect has installed its own handlers.
    """
    set_level(level)
    root = logging.getLogger()
    for handler in [held for held in root.handlers if isinstance(held.formatter, LineFormatter)]:
        root.removeHandler(handler)
    printer = logging.StreamHandler(stream or sys.stderr)
    printer.setFormatter(LineFormatter())
    root.addHandler(printer)
    root.setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """`2026-01-25T06:00:00Z event=... key=value`; other levels than INFO are added as the last field."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, also for records of libraries, which become `event=log_record logger=... message=...`."""
        moment = iso(datetime.fromtimestamp(record.created, UTC))
        if hasattr(record, "aegis_event"):
            text = record.getMessage()
        else:
            fields: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                fields["exception"] = self.formatException(record.exc_info)
            text = line("log_record", fields)
        grade = "" if record.levelno == logging.INFO else f" level={record.levelname.lower()}"
        return f"{moment} {text}{grade}"


def line(event: str, fields: Mapping[str, object]) -> str:
    """The logfmt line: event first, then the fields in the order given."""
    clean: dict[str, object] = {"event": _text(event)}
    for name, value in fields.items():
        key = _UNFIT_FOR_KEY.sub("_", name) or "_"
        while key in clean:
            key += "_"
        hidden = isinstance(value, str) and value and _SECRET_KEY.search(key)
        clean[key] = HIDDEN if hidden else _value(value)
    return _renderer()(None, "", clean)


def _value(value: object) -> bool | str | None:
    """None stays an empty value, true and false stay themselves, the rest is text on one line."""
    if value is None or isinstance(value, bool):
        return value
    plain = _plain(value)
    if isinstance(plain, (dict, list)):
        return _text(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))
    return _text(str(plain))


def _plain(value: object) -> object:
    """What JSON can hold, in the form the line shows."""
    if value is None or (isinstance(value, (bool, int, float)) and not isinstance(value, Enum)):
        return value
    if hasattr(value, "get_secret_value"):
        return HIDDEN
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Mapping):
        return {str(key): _hidden_or_plain(str(key), held) for key, held in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(str(_plain(held)) for held in value)
    if isinstance(value, (list, tuple)):
        return [_plain(held) for held in value]
    return str(value)


def _hidden_or_plain(key: str, value: object) -> object:
    return HIDDEN if isinstance(value, str) and value and _SECRET_KEY.search(key) else _plain(value)


def _text(text: str) -> str:
    """One line that cannot move a terminal's cursor, hide a password in an address, or go on for ever."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    if "://" in text:
        text = _PASSWORD_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    if len(text) > LONGEST_VALUE_CHARACTERS:
        return f"{text[:LONGEST_VALUE_CHARACTERS]}… ({len(text)} characters)"
    return text


@cache
def _renderer() -> Callable[[None, str, dict[str, object]], str]:
    from structlog.processors import LogfmtRenderer

    return LogfmtRenderer(bool_as_flag=False)
