"""What the containers of docker-compose.yml run: each part prepares, then becomes the program it is for.

Settings of a part do not stand here but in prefect.toml; and no part starts another: the engine does, in the
order of docker-compose.yml.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings, InstallationSettings, PrefectApiSettings
from deployments import stack_database
from deployments.catalogue import WORK_POOL
from deployments.compose.names import WORKER_NAME
from deployments.doctor import versions_check
from deployments.project import project_root
from deployments.stack_environment import server_settings
from deployments.work_pool import POOL_TYPE

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 1.0


def server() -> NoReturn:
    """Become the Prefect server, once its database answers.

    Raises:
        Misconfigured: there is no secret to protect it with, or the database refuses us.
        DependencyUnavailable: the database does not answer for two minutes.
    """
    installation, database = InstallationSettings(), DatabaseSettings()
    secret = api_secret()
    require_versions()
    insist(lambda: stack_database.ensure_databases(database, installation))
    settings = {
        **server_settings(installation, database),
        "PREFECT_API_URL": f"http://127.0.0.1:{installation.port}/api",  # also where its pages look for it
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_API_AUTH_STRING": secret,
    }
    everywhere = "0.0.0.0"  # noqa: S104  within the container; the host publishes it on loopback
    become_prefect(
        "server", "start", "--host", everywhere, "--port", str(installation.port), settings=settings
    )


def worker() -> NoReturn:
    """Become the worker."""
    options = ("--pool", WORK_POOL, "--type", POOL_TYPE, "--name", WORKER_NAME)
    become_prefect("worker", "start", *options, settings={"PREFECT_API_AUTH_STRING": api_secret()})


def prefect(*arguments: str) -> NoReturn:
    """Become any `prefect` command, with what it needs to be let in."""
    become_prefect(*arguments, settings={"PREFECT_API_AUTH_STRING": api_secret()})


def api_secret() -> str:
    """User and password of the API.

    Raises:
        Misconfigured: there are none. An open API on a network of containers is not what anybody wants.
    """
    secret = PrefectApiSettings().auth_string
    if secret is None:
        raise Misconfigured(
            "PREFECT_API_AUTH_STRING",
            "is not set, and AEGIS_SECRETS_DIR holds no such file.",
            "run `docker-compose up secrets`, which makes it.",
        )
    return secret.get_secret_value()


def require_versions() -> None:
    """Refuse libraries that do not work together.

    Raises:
        PermanentFailure: they do not.
    """
    versions = versions_check()
    if not versions.ok:
        raise PermanentFailure(f"{versions.detail}. Fix: {versions.fix}")


def insist(action: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Do it as soon as what it needs answers; the last refusal counts."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return action()
        except DependencyUnavailable as error:
            if time.monotonic() > deadline:
                raise
            say(f"Waiting: {error}")
        time.sleep(_PAUSE_SECONDS)


def become_prefect(*arguments: str, settings: Mapping[str, str]) -> NoReturn:
    """Replace this process by `prefect ...`; no secret stands on its command line."""
    os.chdir(project_root())
    words = [sys.executable, "-m", "prefect", *arguments]
    os.execve(sys.executable, words, {**os.environ, **settings})  # noqa: S606


def say(line: str) -> None:
    """A line for `docker-compose logs`."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
