"""One settings class per outside system, read from the environment and `.env`. Nothing is read at import.

Every variable `NAME` may instead come from the file named by `NAME_FILE`, so that a secret need not stand
in the environment; or, unless it is set, from the file NAME in `AEGIS_SECRETS_DIR`. NAME and `NAME_FILE` at
once, an unreadable file, and a placeholder left from `.env.example` are errors.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator

from aegis_lib.errors import Misconfigured
from aegis_lib.setting_sources import Settings

OLLAMA_PORT = 11434


def default_data_dir() -> Path:
    """`/var/lib/aegis` for root; else the platform's place for a user's application data."""
    if os.geteuid() == 0:
        return Path("/var/lib/aegis")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "aegis"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "aegis"


class InstallationSettings(Settings):
    """Where this installation keeps its things and listens.

    `AEGIS_DATA_DIR` holds everything that must survive; `AEGIS_PORT` (1 to 65535) is the loopback port of
    the Prefect API and UI; `AEGIS_CONFIG` is the file that says what to watch; `AEGIS_SECRETS_DIR` holds one
    file for each secret, named as its variable.
    """

    data_dir: Path = Field(default_factory=default_data_dir, validation_alias="aegis_data_dir")
    port: int = Field(default=4200, ge=1, le=65535, validation_alias="aegis_port")
    config: Path = Field(default=Path("aegis.yaml"), validation_alias="aegis_config")
    secrets_dir: Path | None = Field(default=None, validation_alias="aegis_secrets_dir")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """A relative one would be another directory for each command, depending on where it is typed."""
        if not value.expanduser().is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @property
    def root(self) -> Path:
        """The data directory, absolute."""
        return self.data_dir.expanduser().resolve()

    @property
    def spool_dir(self) -> Path:
        """Where records wait while the database is away."""
        return self.root / "spool"

    @property
    def postgres_socket_dir(self) -> Path:
        """Directory of the embedded server's socket; short enough for a socket address (107 bytes)."""
        usual = self.root / "postgres" / "run"
        if len(os.fsencode(usual)) <= 80:
            return usual
        return Path("/tmp") / f"aegis-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]}"  # noqa: S108

    @property
    def postgres_password_file(self) -> Path:
        """Password of the embedded server, made at its first start; mode 0600."""
        return self.root / "secrets" / "postgres_password"


class WorkerSettings(Settings):
    """How the worker behaves.

    `AEGIS_WORKER_DRAIN_SECONDS` is how long runs may go on when it is told to stop.
    """

    drain_seconds: float = Field(default=20, ge=0, le=86400, validation_alias="aegis_worker_drain_seconds")


class DatabaseSettings(Settings):
    """The database of the jobs: an ordinary PostgreSQL where `POSTGRES_HOST` is set, else the embedded one.

    Time-outs are in seconds.
    """

    host: str | None = Field(default=None, validation_alias="postgres_host")
    port: int = Field(default=5432, ge=1, le=65535, validation_alias="postgres_port")
    user: str = Field(default="aegis", validation_alias="postgres_user")
    password: SecretStr | None = Field(default=None, validation_alias="postgres_password")
    name: str = Field(default="aegis", validation_alias="postgres_db")
    prefect_name: str = Field(default="prefect", validation_alias="postgres_prefect_db")
    connect_timeout_seconds: int = Field(default=5, ge=1, le=60, validation_alias="postgres_connect_timeout")

    @property
    def embedded(self) -> bool:
        """Whether `aegis up` runs the server itself."""
        return self.host is None

    def connection(self, installation: InstallationSettings | None = None) -> dict[str, str | int]:
        """Keyword arguments of `psycopg.connect`. The embedded server's password is read from its file.

        Raises:
            Misconfigured: the embedded server was never started, so that there is no password yet.
        """
        common: dict[str, str | int] = {
            "dbname": self.name,
            "connect_timeout": self.connect_timeout_seconds,
            "application_name": "aegis",
        }
        if not self.embedded:
            secret = {"password": self.password.get_secret_value()} if self.password else {}
            return {**common, "host": self.host or "", "port": self.port, "user": self.user, **secret}
        place = installation or InstallationSettings()
        try:
            password = place.postgres_password_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise Misconfigured(
                "POSTGRES_HOST",
                f"is not set, and the embedded PostgreSQL of {place.root} has no readable password file "
                f"({error.strerror}).",
                "run `aegis up` first, point AEGIS_DATA_DIR at its data, or set POSTGRES_HOST.",
            ) from error
        return {
            **common,
            "host": str(place.postgres_socket_dir),
            "port": 5432,  # part of the socket's name; without it PGPORT would choose another
            "user": "aegis",
            "password": password,
        }


class DockerSettings(Settings):
    """The Docker engines to watch.

    `DOCKER_HOSTS` is a comma-separated list of `unix://`, `tcp://` and `ssh://` addresses, each optionally
    `name=address`; empty means the local socket. The time-out is in seconds, per call. `DOCKER_CERT_PATH`
    is a directory with ca.pem, cert.pem and key.pem for `tcp://`; without it nothing is encrypted.
    """

    hosts: str = Field(default="", validation_alias="docker_hosts")
    timeout_seconds: float = Field(default=10, gt=0, le=120, validation_alias="docker_timeout")
    cert_path: Path | None = Field(default=None, validation_alias="docker_cert_path")


class DiscordSettings(Settings):
    """Discord, as a bot (`DISCORD_BOT_TOKEN` and channel ids) or by an incoming webhook.

    `DISCORD_ALLOWED_USERS` are the ids of the people whose commands in `DISCORD_TASKS_CHANNEL` are obeyed,
    separated by commas or spaces; empty means nobody.
    """

    bot_token: SecretStr | None = Field(default=None, validation_alias="discord_bot_token")
    alerts_channel: str | None = Field(default=None, validation_alias="discord_alerts_channel")
    journal_channel: str | None = Field(default=None, validation_alias="discord_journal_channel")
    tasks_channel: str | None = Field(default=None, validation_alias="discord_tasks_channel")
    allowed_users: str = Field(default="", validation_alias="discord_allowed_users")
    webhook_url: SecretStr | None = Field(default=None, validation_alias="discord_webhook_url")
    api_url: str = Field(default="https://discord.com/api/v10", validation_alias="discord_api_url")


class TelegramSettings(Settings):
    """A Telegram bot and the chat it writes to."""

    bot_token: SecretStr | None = Field(default=None, validation_alias="telegram_bot_token")
    chat_id: str | None = Field(default=None, validation_alias="telegram_chat_id")
    api_url: str = Field(default="https://api.telegram.org", validation_alias="telegram_api_url")


class AlertUrlSettings(Settings):
    """Further services, as Apprise URLs separated by spaces or new lines. They contain secrets."""

    urls: SecretStr | None = Field(default=None, validation_alias="alert_urls")


class HeartbeatSettings(Settings):
    """A dead-man's switch, pinged only while the health check is green."""

    url: SecretStr | None = Field(default=None, validation_alias="heartbeat_url")
    timeout_seconds: float = Field(default=10, gt=0, le=60, validation_alias="heartbeat_timeout")


class MailSenderSettings(Settings):
    """The mail server that takes what was approved (`EMAIL_SMTP_HOST`), and who it is from (`EMAIL_FROM`).

    `EMAIL_SMTP_SECURITY` is `tls` (encrypted from the first byte, port 465), `starttls` (port 587; never
    without encryption either) or `none` (port 25, only for a server on this machine). The time-out is in
    seconds, per answer of the server.
    """

    host: str | None = Field(default=None, validation_alias="email_smtp_host")
    port: int | None = Field(default=None, ge=1, le=65535, validation_alias="email_smtp_port")
    user: str | None = Field(default=None, validation_alias="email_smtp_user")
    password: SecretStr | None = Field(default=None, validation_alias="email_smtp_password")
    security: Literal["tls", "starttls", "none"] = Field(
        default="tls", validation_alias="email_smtp_security"
    )
    sender: str | None = Field(default=None, validation_alias="email_from")
    timeout_seconds: float = Field(default=30, gt=0, le=120, validation_alias="email_smtp_timeout")


class JournalSettings(Settings):
    """Where the evening digest is written, one file a day."""

    directory: Path = Field(default=Path("~/memory/journal"), validation_alias="aegis_journal_dir")


def _secure_address(value: str) -> str:
    """An https:// address, or an http:// one of this machine: secrets go there."""
    split = urlsplit(value)
    local = split.hostname in {"localhost", "127.0.0.1", "::1"}
    if not split.hostname or split.scheme not in {"http", "https"} or (split.scheme == "http" and not local):
        raise ValueError("must be an https:// address")
    return value.rstrip("/")


class ZaiSettings(Settings):
    """Z.ai, a provider of language models, by its endpoint for the Anthropic protocol."""

    api_key: SecretStr | None = Field(default=None, validation_alias="zai_api_key")
    base_url: Annotated[str, AfterValidator(_secure_address)] = Field(
        default="https://api.z.ai/api/anthropic", validation_alias="zai_base_url"
    )
    model: str = Field(default="glm-4.7", validation_alias="zai_model")


class ClaudeSettings(Settings):
    """Claude, by the token that `claude setup-token` prints or by a key of the Anthropic Console."""

    token: SecretStr | None = Field(default=None, validation_alias="claude_code_oauth_token")
    base_url: Annotated[str, AfterValidator(_secure_address)] = Field(
        default="https://api.anthropic.com", validation_alias="claude_base_url"
    )
    model: str = Field(default="claude-haiku-4-5", validation_alias="claude_model")


class OllamaSettings(Settings):
    """A local model server, used for embeddings and as the last provider of a language model."""

    host: str | None = Field(default=None, validation_alias="ollama_host")
    model: str = Field(default="llama3.2", validation_alias="ollama_model")
    embedding_model: str = Field(default="nomic-embed-text", validation_alias="ollama_embedding_model")
    timeout_seconds: float = Field(default=30, gt=0, le=600, validation_alias="ollama_timeout")

    @property
    def address(self) -> str | None:
        """`OLLAMA_HOST` as Ollama itself reads it: scheme and port may be left out.

        Raises:
            Misconfigured: it is no http address.
        """
        if self.host is None:
            return None
        address = self.host if "://" in self.host else f"http://{self.host}"
        try:
            split = urlsplit(address)
            port, named = split.port, split.hostname
        except ValueError:
            split, port, named = urlsplit(""), None, None
        if split.scheme not in {"http", "https"} or not named:
            raise Misconfigured("OLLAMA_HOST", "is not an http address.", "e.g. http://127.0.0.1:11434.")
        bare = address.rstrip("/")
        return f"{bare}:{OLLAMA_PORT}" if port is None and "://" not in self.host else bare


class ImapSettings(Settings):
    """The mailbox. `EMAIL_IMAP_HOST` and `EMAIL_IMAP_USER`, and a password or an OAuth2 access token.

    `EMAIL_IMAP_SECURITY` is `tls`, `starttls`, or `plain` for a server on this machine. The port is 993, or
    143 where the connection begins unencrypted. Instead of an access token, which lasts an hour,
    `EMAIL_OAUTH_REFRESH_TOKEN` and `EMAIL_OAUTH_CLIENT_ID` (where the provider asks for it,
    `EMAIL_OAUTH_CLIENT_SECRET`) get one from `EMAIL_OAUTH_TOKEN_URL` for each run. Time-outs are in seconds.
    """

    host: str | None = Field(default=None, validation_alias="email_imap_host")
    port: int | None = Field(default=None, ge=1, le=65535, validation_alias="email_imap_port")
    user: str | None = Field(default=None, validation_alias="email_imap_user")
    password: SecretStr | None = Field(default=None, validation_alias="email_imap_password")
    access_token: SecretStr | None = Field(default=None, validation_alias="email_imap_access_token")
    security: Literal["tls", "starttls", "plain"] = Field(
        default="tls", validation_alias="email_imap_security"
    )
    timeout_seconds: float = Field(default=60, gt=0, le=600, validation_alias="email_imap_timeout")
    oauth_refresh_token: SecretStr | None = Field(default=None, validation_alias="email_oauth_refresh_token")
    oauth_client_id: str | None = Field(default=None, validation_alias="email_oauth_client_id")
    oauth_client_secret: SecretStr | None = Field(default=None, validation_alias="email_oauth_client_secret")
    oauth_token_url: str | None = Field(default=None, validation_alias="email_oauth_token_url")


class BrowserSettings(Settings):
    """The browser that takes pictures: one elsewhere, or Chromium of this machine.

    `PLAYWRIGHT_URL` is Playwright's server (`ws://`) or Chromium's debugging port (`http://`). Without it
    `AEGIS_CHROMIUM` is the program, or the one found on this machine. `PLAYWRIGHT_FILTER=false` lets a
    browser elsewhere that does not reach this machine open addresses by itself, inner ones as well.
    """

    url: str | None = Field(
        default=None, pattern=r"^(ws|http)s?://[^/\s]+", validation_alias="playwright_url"
    )
    filter: bool = Field(default=True, validation_alias="playwright_filter")
    chromium: Path | None = Field(default=None, validation_alias="aegis_chromium")


class ScreenshotSettings(Settings):
    """Where pictures of websites are kept: `AEGIS_SCREENSHOT_DIR`, or a directory of the installation's."""

    directory: Path | None = Field(default=None, validation_alias="aegis_screenshot_dir")

    @property
    def root(self) -> Path:
        """The directory, absolute."""
        if self.directory is None:
            return InstallationSettings().root / "screenshots"
        return self.directory.expanduser().resolve()


class ReportSettings(Settings):
    """Where the status page is written: `AEGIS_REPORT_DIR`, or a directory of the installation's."""

    directory: Path | None = Field(default=None, validation_alias="aegis_report_dir")

    @property
    def root(self) -> Path:
        """The directory, absolute."""
        if self.directory is None:
            return InstallationSettings().root / "report"
        return self.directory.expanduser().resolve()


class GraphSettings(Settings):
    """The knowledge graph. Where one is configured, the cleanup spares events that it has not read yet."""

    host: str | None = Field(default=None, validation_alias="falkordb_host")
    port: int = Field(default=6379, ge=1, le=65535, validation_alias="falkordb_port")


class LogSettings(Settings):
    """How much the processes of `aegis` say."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias="aegis_log_level"
    )


class PrefectApiSettings(Settings):
    """How to reach the Prefect server's API. The names are Prefect's own; the time-out is in seconds.

    Without `PREFECT_API_URL` the server of this machine is meant, on `AEGIS_PORT`.
    """

    url: str | None = Field(default=None, validation_alias="prefect_api_url")
    auth_string: SecretStr | None = Field(default=None, validation_alias="prefect_api_auth_string")
    ssl_cert_file: Path | None = Field(default=None, validation_alias="prefect_api_ssl_cert_file")
    timeout_seconds: float = Field(default=30, gt=0, le=600, validation_alias="prefect_api_request_timeout")
    port: int | None = Field(default=None, ge=1, le=65535, validation_alias="aegis_port")


def secrets_in_use() -> frozenset[str]:
    """The plain value of every secret that is set, so that none is written or sent anywhere by mistake."""
    found = set()
    for kind in Settings.__subclasses__():
        try:
            settings = kind()
        except Misconfigured:  # whoever needs it says so
            continue
        held = (getattr(settings, name) for name in kind.model_fields)
        found |= {value.get_secret_value() for value in held if isinstance(value, SecretStr)}
    return frozenset(found)
