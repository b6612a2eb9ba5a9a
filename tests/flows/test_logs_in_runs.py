"""Our log lines inside a Prefect run: they reach the server's API, and no token does.

The run is a process of its own, as a worker starts it, so that Prefect sets up its logging from nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pytest_httpserver import HTTPServer

from tests.fake_services import telegram as service
from tests.fake_services.telegram import FakeTelegram
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
from prefect import flow
from prefect.runtime import flow_run
from aegis_lib.adapters.notify import fanout
from aegis_lib.alerts.model import Message
from aegis_lib.logs import get_logger

log = get_logger("aegis_lib.sample.service")

@flow
def sample_logs():
    print("id:", flow_run.id)
    log.debug("too_fine", seen=False)
    log.info("health_check_complete", db_healthy=True, note="two words")
    with fanout.connect() as notifier:
        notifier.send(Message(title="web is sick"))

log.info("before_any_run")
sample_logs()
log.info("after_the_run")
"""


def run(url: str, directory: Path, **environment: str) -> str:
    """Run the program against the server; return all that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PREFECT_API_URL": url, "PYTHONPATH": str(ROOT), **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def logged(printed: str, event: str) -> list[tuple[str, int, str]]:
    """Logger, level and message of the printed run's lines on the server, as soon as the event is there."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter

    run_id = re.findall(r"(?m)^id: (\S+)$", printed)[0]
    wanted = LogFilter.model_validate({"flow_run_id": {"any_": [run_id]}})

    def lines() -> list[tuple[str, int, str]]:
        with get_client(sync_client=True) as client:
            found = [(line.name, line.level, line.message) for line in client.read_logs(wanted)]
        return found if any(event in message for _, _, message in found) else []

    return wait_until(lines, description=f"{event} among the server's logs")


def test_a_line_of_ours_reaches_the_server_as_it_was_written(prefect_server: str, tmp_path: Path) -> None:
    printed = run(
        prefect_server,
        tmp_path,
        PREFECT_LOGGING_EXTRA_LOGGERS="aegis_lib",
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
    )
    messages = logged(printed, "no_notification_channel")
    expected = 'event=health_check_complete db_healthy=true note="two words"'
    assert ("aegis_lib.sample.service", 20, expected) in messages
    assert not [message for _, _, message in messages if "too_fine" in message]
    assert "Warning" not in printed, "a line outside a run must not be complained about"


def test_no_token_reaches_the_server_or_the_screen_even_when_everything_is_logged(
    prefect_server: str, tmp_path: Path, httpserver: HTTPServer
) -> None:
    fake = FakeTelegram(httpserver)
    printed = run(
        prefect_server,
        tmp_path,
        PREFECT_LOGGING_EXTRA_LOGGERS="aegis_lib,httpx,httpcore",
        PREFECT_LOGGING_LEVEL="DEBUG",
        PREFECT_LOGGING_ROOT_LEVEL="DEBUG",
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
        TELEGRAM_BOT_TOKEN=service.TOKEN,
        TELEGRAM_CHAT_ID=str(service.CHAT),
        TELEGRAM_API_URL=fake.api_url,
    )
    assert len(fake.messages) == 1
    told = "".join(message for _, _, message in logged(printed, "/sendMessage"))
    assert "/bot***/sendMessage" in told
    assert service.TOKEN.split(":")[1] not in told + printed
