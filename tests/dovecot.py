"""A real Dovecot for tests: its own directory, ports of its own on loopback, Maildir, several users, quotas.

It runs as root with the mail of an unprivileged user, as Dovecot wants it. Nothing of it is left afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imap_tools import MailBoxUnencrypted
from imap_tools.imap_utf7 import utf7_encode

from aegis_lib.settings import ImapSettings
from tests.fake_services.tls import certificate_files
from tests.loopback import free_port
from tests.waiting import wait_until

HOW_TO_INSTALL = "apt-get install dovecot-imapd, and run the tests as root."
PASSWORD = "correct horse"
TOKEN_KEY = b"a key that only this server and its tests have"
QUOTA_BYTES = 30_000
FOLDERS = ("Archive", "Spamverdacht", "Entwürfe", "Sent")
_MOST_USERS = 2_000
_MAIL_USER = ("nobody", 65534, 65534)
_LETTERS = {"\\Seen": "S", "\\Flagged": "F", "\\Answered": "R", "\\Draft": "D", "\\Deleted": "T"}

_CONFIG = """
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/server.pem
ssl_key = <{root}/server.pem
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
first_valid_uid = 1
mail_location = maildir:{root}/mail/%u
mail_plugins = quota
mail_max_userip_connections = 100
maildir_very_dirty_syncs = no
protocol imap {{
  mail_plugins = $mail_plugins imap_quota
  {imap_extra}
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Archive {{
    auto = create
    special_use = \\Archive
  }}
  mailbox Spamverdacht {{
    auto = create
    special_use = \\Junk
  }}
  mailbox "Entwürfe" {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {root}/oauth2.conf
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
  process_limit = 50
}}
service imap {{
  process_limit = 50
}}
"""
_OAUTH2 = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={root}/keys/
username_attribute = email
"""


def available() -> bool:
    return shutil.which("dovecot") is not None and os.geteuid() == 0


class Dovecot:
    """A running server. `capability`: announce exactly this, to be a server that cannot do more."""

    def __init__(self, root: Path, *, capability: str | None = None) -> None:
        self.root = root
        self._capability = capability
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._letters = itertools.count(1)
        self.port, self.tls_port = free_port(), free_port()

    def start(self) -> None:
        _, self.authority = certificate_files("localhost", self.root)
        (self.root / "mail").mkdir(exist_ok=True)
        os.chown(self.root / "mail", *_MAIL_USER[1:])
        keys = self.root / "keys" / "default" / "HS256"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / "default").write_bytes(base64.b64encode(TOKEN_KEY))
        ids = f"{_MAIL_USER[1]}:{_MAIL_USER[2]}"
        (self.root / "users").write_text(
            "".join(
                f"{kind}{number}:{PASSWORD}:{ids}::{self.root}/mail/{kind}{number}::{rule}\n"
                for kind, rule in (("user", ""), ("small", f"userdb_quota_rule=*:bytes={QUOTA_BYTES}"))
                for number in range(1, _MOST_USERS)
            )
        )
        (self.root / "oauth2.conf").write_text(_OAUTH2.format(root=self.root))
        for path in (self.root, self.root / "keys", self.root / "keys" / "default", keys):
            path.chmod(0o755)
        extra = f"imap_capability = {self._capability}" if self._capability else ""
        (self.root / "dovecot.conf").write_text(
            _CONFIG.format(root=self.root, port=self.port, tls_port=self.tls_port, imap_extra=extra)
        )
        with (self.root / "errors.log").open("wb") as errors:
            self._process = subprocess.Popen(
                ["dovecot", "-F", "-c", str(self.root / "dovecot.conf")],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        wait_until(self._answers, description=f"Dovecot on port {self.port}", timeout_seconds=20)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.root / "errors.log").read_text()
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(20)
            self._process = None

    # --- users ---

    def user(self, *, quota: bool = False) -> str:
        """A user whom nobody had yet, with empty folders; with a quota, of `QUOTA_BYTES` in all."""
        name = f"{'small' if quota else 'user'}{next(self._numbers)}"
        for folder in ("INBOX", *FOLDERS):
            with self.by_hand(name, folder):
                pass
        return name

    def settings(self, user: str, **changes: Any) -> ImapSettings:
        fields = {
            "host": "127.0.0.1", "port": self.port, "user": user, "password": PASSWORD,
            "security": "plain", "timeout_seconds": 20,
        }  # fmt: skip
        return ImapSettings(**{**fields, **changes})

    def token(self, user: str, **claims: Any) -> str:
        """An access token that this server takes."""
        now = int(time.time())
        body = {"email": user, "sub": user, "iat": now - 10, "exp": now + 600, **claims}
        signed = ".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, body)
        )
        return f"{signed}.{_base64(hmac.new(TOKEN_KEY, signed.encode(), hashlib.sha256).digest())}"

    @contextmanager
    def by_hand(self, user: str, folder: str = "INBOX") -> Iterator[MailBoxUnencrypted]:
        """What the user does with his own mail program. It deletes nothing unless told to."""
        with MailBoxUnencrypted("127.0.0.1", self.port, timeout=20) as box:
            box.login(user, PASSWORD, folder)
            yield box

    # --- mail ---

    def deliver(
        self,
        user: str,
        *messages: bytes,
        folder: str = "INBOX",
        flags: Sequence[str] = (),
        at: datetime | None = None,
    ) -> None:
        """Put messages into a folder as a delivery agent does: as files."""
        place = self.folder_path(user, folder)
        arrived = (at or datetime.now(UTC)).timestamp()
        for message in messages:
            number = next(self._letters)
            name = f"{int(arrived)}.M{number:09d}P1.test"
            letters = "".join(sorted(_LETTERS[flag] for flag in flags))
            path = place / (f"cur/{name}:2,{letters}" if letters else f"new/{name}")
            path.write_bytes(message.replace(b"\r\n", b"\n"))
            os.utime(path, (arrived, arrived))
            os.chown(path, *_MAIL_USER[1:])

    def folder_path(self, user: str, folder: str = "INBOX") -> Path:
        home = self.root / "mail" / user
        return home if folder == "INBOX" else home / f".{utf7_encode(folder).decode()}"

    def number_anew(self, user: str, folder: str = "INBOX") -> None:
        """Lose what the server knows of a folder: another UIDVALIDITY, other uids; flags are in the names."""
        place = self.folder_path(user, folder)
        for path in place.glob("dovecot*"):
            if path.name.startswith(("dovecot-uidlist", "dovecot.index")):
                path.unlink()

    def uids(self, user: str, folder: str = "INBOX", criteria: str = "ALL") -> list[int]:
        with self.by_hand(user, folder) as box:
            return [int(uid) for uid in box.uids(criteria)]

    def flags(self, user: str, folder: str = "INBOX") -> dict[int, set[str]]:
        """Flags and keywords of every mail."""
        with self.by_hand(user, folder) as box:
            return {
                int(mail.uid or 0): set(mail.flags)
                for mail in box.fetch(mark_seen=False, headers_only=True, bulk=True)
            }

    def subjects(self, user: str, folder: str = "INBOX") -> list[str]:
        with self.by_hand(user, folder) as box:
            return [mail.subject for mail in box.fetch(mark_seen=False, headers_only=True, bulk=True)]


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def running(*, capability: str | None = None) -> Iterator[Dovecot]:
    root = Path(tempfile.mkdtemp(prefix="aegis-dovecot-", dir="/var/tmp"))
    server = Dovecot(root, capability=capability)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)
