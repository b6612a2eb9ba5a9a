"""The journal: one markdown file a day, which people edit as well. Decides nothing about what is written.

Each section of ours stands between two marker lines, HTML comments that no viewer shows. Everything outside
them belongs to people and is kept byte for byte; so is a section that people changed. Line ends and a byte
order mark stay as they are. A page that is not UTF-8 text is left alone and our section goes to a page
beside it. A new version replaces the old one in one step, so that no crash leaves half a page.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import os
import re
import tempfile
from datetime import date
from pathlib import Path

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.settings import JournalSettings

_ATTEMPTS = 5
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileJournal:
    """Implements the port `Journal` on a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, day: date, section: str, text: str) -> str:
        """Put a section on the day's page and return the page's path; see the port.

        `section` names it on that page: printable ASCII without `--`. Writing the same section again replaces
        it, unless somebody changed it.

        Raises:
            DependencyUnavailable: the disk is full, or people change the page faster than we can write it.
            Misconfigured: the directory or the page cannot be written.
        """
        if not section.isascii() or not section.isprintable() or "--" in section:
            raise ValueError(f"{section!r} cannot name a section")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for name in (f"{day:%Y-%m-%d}.md", f"{day:%Y-%m-%d}.aegis.md"):
                page = (self._directory / name).resolve()  # a link stays a link
                if _put(page, section, text):
                    return str(self._directory / name)
        except OSError as error:
            raise self._failure(error) from error
        raise Misconfigured(
            "AEGIS_JOURNAL_DIR",
            f"{self._directory}: neither page of {day:%Y-%m-%d} is UTF-8 text, so none was touched.",
            f"save {day:%Y-%m-%d}.md as UTF-8.",
        )

    def _failure(self, error: OSError) -> AegisError:
        where = error.filename or self._directory
        if error.errno in _NO_ROOM:
            return DependencyUnavailable(
                "journal",
                f"no room for the page in {self._directory} ({error.strerror}).",
                "make room there.",
            )
        if error.errno == errno.EAGAIN:
            return DependencyUnavailable("journal", f"{where} keeps changing while it is written.")
        return Misconfigured(
            "AEGIS_JOURNAL_DIR",
            f"the journal in {self._directory} cannot be written: {error.strerror} ({where}).",
            f"make it a directory that user {_user()} may write, or name another one.",
        )


def connect(settings: JournalSettings) -> FileJournal:
    """The journal in `AEGIS_JOURNAL_DIR`; the directory is made when the first page is written.

    Raises:
        Misconfigured: the path starts with `~` and this user has no home.
    """
    try:
        return FileJournal(settings.directory.expanduser().absolute())
    except RuntimeError as error:
        raise Misconfigured(
            "AEGIS_JOURNAL_DIR",
            f"is {settings.directory}, and this user has no home.",
            "name the whole path.",
        ) from error


def _put(page: Path, section: str, text: str) -> bool:
    """Write the section unless the page is not UTF-8; False then. A page changed meanwhile is read again."""
    for _ in range(_ATTEMPTS):
        before = _read(page)
        try:
            content = before.decode("utf-8") if before is not None else ""
        except UnicodeDecodeError:
            return False
        if "\x00" in content:  # UTF-16 of plain text is valid UTF-8 with zeros
            return False
        after = _merged(content, section, text).encode()
        if after == before or _replaced(page, before, after):
            return True
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(page))


def _merged(content: str, section: str, text: str) -> str:
    """The page with the section on it. Pure."""
    line_end = "\r\n" if "\r\n" in content else "\n"
    body = "\n".join(text.splitlines()).strip("\n")
    name = re.escape(section)
    ours = re.search(
        rf"^<!-- aegis {name} begin (?P<hash>\w+) -->\r?\n(?P<body>.*?)\r?\n?^<!-- aegis {name} end -->",
        content,
        re.MULTILINE | re.DOTALL,
    )
    lines = [f"<!-- aegis {section} begin {_hash(body)} -->", body, f"<!-- aegis {section} end -->"]
    block = "\n".join(lines).replace("\n", line_end)
    if ours:
        if _hash(ours["body"].replace("\r\n", "\n")) != ours["hash"]:
            return content  # somebody wrote into it: it is theirs now
        return content[: ours.start()] + block + content[ours.end() :]
    if not content.removeprefix("\ufeff"):
        return f"{content}{block}{line_end}"
    gap = line_end if content.endswith("\n") else line_end * 2
    return f"{content}{gap}{block}{line_end}"


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def _read(page: Path) -> bytes | None:
    try:
        return page.read_bytes()
    except FileNotFoundError:
        return None


def _replaced(page: Path, before: bytes | None, after: bytes) -> bool:
    """Replace the page in one step; False when it changed since `before` was read."""
    descriptor, temporary = tempfile.mkstemp(dir=page.parent, prefix=f".{page.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            _keep_access(page, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        if _read(page) != before:
            return False
        os.replace(temporary, page)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    _sync(page.parent)
    return True


def _keep_access(page: Path, descriptor: int) -> None:
    """Give the new file the mode and the owner of the page it replaces, as far as we may."""
    try:
        known = page.stat()
    except FileNotFoundError:
        umask = os.umask(0o022)
        os.umask(umask)
        os.fchmod(descriptor, 0o666 & ~umask)
        return
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, known.st_mode & 0o777)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
