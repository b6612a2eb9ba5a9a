"""The secrets of a stack of containers, each a file of its own: given ones are taken over, missing ones made.

Files of the host belong to whoever wrote them, mode 0600, so that an unprivileged container could not read
them; here they are copied into a volume whose files belong to the user of the containers. Prints no secret.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aegis_lib.errors import Misconfigured
from aegis_lib.setting_sources import LARGEST_FILE_CHARACTERS

OWNER = 10001
"""User and group of the containers, as the Dockerfile says."""
GIVEN, KEPT = Path("/run/aegis/given"), Path("/run/aegis/secrets")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_MADE = ".made"
"""Names of the secrets that were made here, one a line; all others follow the given files."""

MADE_HERE: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(32),
    "PREFECT_API_AUTH_STRING": lambda: f"aegis:{secrets.token_urlsafe(32)}",
}


def main() -> int:
    """What the container `secrets` does.

    Raises:
        Misconfigured: a given file cannot be used, or the volume cannot be written.
    """
    named = {name: value for name in MADE_HERE if (value := os.environ.get(name, "").strip())}
    for line in renew(GIVEN, KEPT, OWNER, named) or ["nothing to do"]:
        sys.stdout.write(f"{line}\n")
    return 0


def renew(given: Path, kept: Path, owner: int, named: Mapping[str, str] | None = None) -> list[str]:
    """Make `kept` hold every given secret and those that only have to be secret; what changed, for people.

    A secret that was made here stays the same for ever, unless one is given: as a file, or in `named`, where
    `.env` has it. Files belong to user and group `owner`, mode 0600.

    Raises:
        Misconfigured: a given file cannot be used, or `kept` cannot be written.
    """
    wanted = {**(named or {}), **_given(given)}
    try:
        return _write(wanted, kept, owner)
    except OSError as error:
        raise Misconfigured(
            "the volume of secrets", f"{kept} cannot be written: {error.strerror}.", "see the disk it is on."
        ) from error


def _given(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if _NAME.fullmatch(path.name):
            found[path.name] = _content(path)
    return found


def _content(path: Path) -> str:
    problem = ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        problem, text = "is not UTF-8 text", ""
    except OSError as error:
        problem, text = f"cannot be read: {error.strerror}", ""
    else:
        if not text:
            problem = "is empty"
        elif len(text) > LARGEST_FILE_CHARACTERS:
            problem = "is too large"
    if problem:
        raise Misconfigured(
            path.name, f"its file {path} {problem}.", "write the secret into it, or remove it."
        )
    return text


def _write(wanted: dict[str, str], kept: Path, owner: int) -> list[str]:
    kept.mkdir(mode=0o700, exist_ok=True)
    os.chown(kept, owner, owner)
    list_file = kept / _MADE
    made = set(list_file.read_text(encoding="ascii").split()) if list_file.exists() else set()
    there = {path.name for path in kept.iterdir() if _NAME.fullmatch(path.name)}
    said = []
    for name in sorted(there - made - wanted.keys() - MADE_HERE.keys()):
        (kept / name).unlink()
        said.append(f"{name}: removed, as its file is gone")
    for name, make in MADE_HERE.items():
        if name not in wanted and name not in there:
            _replace(kept / name, make(), owner)
            made.add(name)
            said.append(f"{name}: made")
    for name, text in wanted.items():
        if name not in there or (kept / name).read_text(encoding="utf-8") != text:
            _replace(kept / name, text, owner)
            said.append(f"{name}: taken over")
        made.discard(name)
    _replace(list_file, "\n".join(sorted(made)), owner)
    return said


def _replace(path: Path, text: str, owner: int) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    os.chown(beside, owner, owner)
    beside.replace(path)
