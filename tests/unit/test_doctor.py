"""The doctor's judgements: each red one has a reason and a mend, and what is not in use is no failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_lib.adapters.docker_engine import engines
from aegis_lib.alerts.model import Backlog, ChannelStanding
from aegis_lib.db.spool import Spool
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import catalogue, doctor, doctor_server, language_models
from deployments.api import NotFound
from deployments.check import Check, start_command
from deployments.doctor_browser import browser_checks

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
PROJECT = Path(__file__).resolve().parents[2]
GOOD = {"prefect": "3.8.8", "sqlalchemy": "2.0.58", "fastapi": "0.150.0"}


@pytest.fixture
def installation(tmp_path: Path) -> InstallationSettings:
    return InstallationSettings(aegis_data_dir=tmp_path / "data")


def red(check: Check) -> str:
    assert check.ok is False
    assert check.detail
    assert check.fix
    return check.detail


@pytest.mark.parametrize(
    ("package", "version", "said"),
    [
        ("sqlalchemy", "2.1.0", "plans no runs"),
        ("sqlalchemy", "2.1.0b1", "plans no runs"),
        ("fastapi", "0.151.0", "does not start"),
        ("prefect", "3.8.7", "tested with"),
        ("prefect", "3.9.0", "tested with"),
    ],
)
def test_versions_that_do_not_work_together_are_red(package: str, version: str, said: str) -> None:
    assert said in red(doctor.judge_versions({**GOOD, package: version}))


def test_the_versions_of_the_lock_file_are_green() -> None:
    assert doctor.judge_versions(GOOD).ok is True
    assert doctor.versions_check().ok is True


def test_a_missing_data_directory_is_no_failure(installation: InstallationSettings) -> None:
    check = doctor.data_directory_check(installation)
    assert (check.ok, check.fix) == (None, "`aegis up` makes it.")


def test_a_closed_data_directory_and_a_full_disk_are_red(
    installation: InstallationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.root.mkdir()
    assert doctor.data_directory_check(installation).ok is True
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 10**18)
    assert "GB free" in red(doctor.data_directory_check(installation))
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert "cannot be written" in red(doctor.data_directory_check(installation))


def test_waiting_records_are_red_and_an_empty_spool_is_green(installation: InstallationSettings) -> None:
    assert doctor.spool_check(installation).ok is True
    Spool(installation.spool_dir).append("episode", "k1", {"a": 1})
    assert "1 records wait" in red(doctor.spool_check(installation))


def test_records_set_aside_are_pointed_at(installation: InstallationSettings) -> None:
    installation.spool_dir.mkdir(parents=True)
    (installation.spool_dir / "rejected.jsonl").write_text("{}\n")
    check = doctor.spool_check(installation)
    assert check.ok is None
    assert "rejected.jsonl" in check.detail


def test_an_unreachable_database_is_red_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def ping(self) -> timedelta:
            raise DependencyUnavailable("PostgreSQL", "no answer within 2 s.", "start it.")

    monkeypatch.setattr(doctor.databases, "prober", lambda _settings: Away())
    (check,) = doctor.database_checks(DatabaseSettings(host="db.example"))
    assert red(check) == "PostgreSQL: no answer within 2 s."
    assert check.fix == "start it."


def test_a_slow_database_is_red_and_an_old_schema_names_both_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow:
        def ping(self) -> timedelta:
            return timedelta(seconds=1.5)

    from aegis_lib.db import migrate

    monkeypatch.setattr(doctor.databases, "prober", lambda _settings: Slow())
    monkeypatch.setattr(migrate, "current", lambda _settings: "0001_core")
    monkeypatch.setattr(migrate, "head", lambda: "0003_digest")
    answer, schema = doctor.database_checks(DatabaseSettings())
    assert "1500 ms" in red(answer)
    assert red(schema) == "at 0001_core, this program has 0003_digest"


def test_no_docker_engine_is_not_configured_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "DEFAULT_SOCKET", tmp_path / "absent.sock")
    (check,) = doctor.docker_checks()
    assert (check.name, check.ok, check.detail) == ("Docker", None, "not configured")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("no socket"), "there is no socket"),
        (PermissionError("denied"), "may not use"),
        (TimeoutError("timed out"), "no answer within"),
    ],
)
def test_an_engine_that_is_absent_denied_or_silent_is_said_differently(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError, said: str
) -> None:
    from aegis_lib.adapters.docker_engine import trouble

    place = trouble.Place("nas", f"unix://{tmp_path}/docker.sock", 2)

    def refuse(_engine: object, only_label: str | None = None) -> Any:
        raise trouble.translated(error, place)

    monkeypatch.setenv("DOCKER_HOSTS", f"nas=unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(engines.DockerEngine, "containers", refuse)
    (check,) = doctor.docker_checks()
    assert check.name == "Docker nas"
    assert said in red(check)


class FakeServer:
    """Answers by path; an exception is raised instead."""

    url = "http://127.0.0.1:4200/api"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def _answer(self, path: str) -> Any:
        word = next(word for word in reversed(path.strip("/").split("/")) if word not in {"filter", "count"})
        answer = self.answers[word]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, path: str) -> Any:
        return self._answer(path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._answer(path)

    def filter(self, path: str, body: Any = None, *, limit: int | None = None) -> Any:
        return iter(self._answer(path))


def look(check: Callable[..., Check], *more: object, **answers: Any) -> Check:
    return check(FakeServer(**answers), *more)


def test_a_server_of_another_version_is_red() -> None:
    assert look(doctor_server.server_check, health=True, version="3.8.8").ok is True
    assert "version 3.7.0" in red(look(doctor_server.server_check, health=True, version="3.7.0"))


def test_the_workers_state_decides() -> None:
    online, offline = {"name": "w1", "status": "ONLINE"}, {"name": "w2", "status": "OFFLINE"}
    pool, paused = {"is_paused": False}, {"is_paused": True}
    assert look(doctor_server.worker_check, aegis=pool, workers=[online, offline]).ok is True
    assert look(doctor_server.worker_check, aegis=paused, workers=[online]).ok is None
    assert "offline: w2" in red(look(doctor_server.worker_check, aegis=pool, workers=[offline]))
    gone = NotFound("GET", 404, "no pool")
    assert "no work pool" in red(look(doctor_server.worker_check, aegis=gone, workers=[]))


def test_a_schedule_without_a_future_run_is_red() -> None:
    scheduled = [{"id": "a", "name": "health-check", "paused": False, "schedules": [{"active": True}]}]
    assert look(doctor_server.schedules_check, NOW, deployments=scheduled, flow_runs=[{}]).ok is True
    dead = look(doctor_server.schedules_check, NOW, deployments=scheduled, flow_runs=[])
    assert "health-check" in red(dead)


def test_runs_that_should_have_started_are_red() -> None:
    assert look(doctor_server.late_check, NOW, flow_runs=0).ok is True
    assert "3 runs should have started" in red(look(doctor_server.late_check, NOW, flow_runs=3))


def test_deployments_that_differ_from_the_catalogue_are_named() -> None:
    jobs = catalogue.read(PROJECT / "prefect.yaml")
    stranger = {
        "id": "x",
        "name": "old-job",
        "flow_name": "old-job",
        "tags": ["aegis"],
        "schedules": [],
        "paused": False,
    }
    found = doctor_server.judge_deployments(jobs, [stranger], str(PROJECT))
    assert found[0].startswith("missing: ")
    assert "health-check/health-check" in found[0]
    assert found[1] == "not in the catalogue any more: old-job/old-job"


def test_a_server_that_is_away_is_one_red_check_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_self: object, path: str, **_: object) -> Any:
        raise DependencyUnavailable("Prefect server", "no answer.", "start it with `aegis up`.")

    monkeypatch.setattr(doctor_server.PrefectApi, "get", away)
    (check,) = doctor_server.server_checks()
    assert check.fix == "start it with `aegis up`."
    red(check)


def test_a_wrong_setting_is_a_finding_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "nonsense")
    (check,) = doctor_server.server_checks()
    assert "PREFECT_API_URL" in red(check)
    monkeypatch.setenv("DOCKER_HOSTS", "::::")
    (check,) = doctor.docker_checks()
    assert "DOCKER_HOSTS" in red(check)


def test_a_misconfiguration_without_a_mend_still_has_a_fix() -> None:
    from deployments.check import guarded

    def look() -> Check:
        raise Misconfigured("X", "is wrong.")

    red(guarded("x", look))


def test_the_doctor_does_not_import_prefect() -> None:
    import subprocess
    import sys

    code = "import sys, deployments.doctor; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_no_notification_channel_is_no_failure_and_says_what_to_set() -> None:
    (check,) = doctor.notification_checks()
    assert check.ok is None
    assert "TELEGRAM_BOT_TOKEN" in check.fix


def test_a_half_configured_channel_is_red_and_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "1")
    (check,) = doctor.notification_checks()
    assert "TELEGRAM_BOT_TOKEN" in red(check)


def test_a_configured_channel_is_green_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "1")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "1:abc")
    (check,) = doctor.notification_checks()
    assert (check.ok, check.detail) == (True, "telegram")


def backlog(**fields: Any) -> Backlog:
    return Backlog(**{"open": 0, "undelivered": 0, "given_up": 0, **fields})


def test_an_outbox_that_empties_is_green_also_with_open_alerts() -> None:
    fresh = backlog(open=2, undelivered=1, oldest=NOW - timedelta(minutes=1))
    check = doctor.judge_alerts(fresh, [ChannelStanding(channel="discord")], NOW)
    assert (check.ok, check.detail) == (True, "2 open")


def test_alerts_that_wait_channels_that_fail_and_what_was_given_up_are_red() -> None:
    old = backlog(undelivered=3, given_up=1, oldest=NOW - timedelta(minutes=6))
    failing = ChannelStanding(channel="telegram", failures=4, problem="chat not found")
    said = red(doctor.judge_alerts(old, [failing], NOW))
    assert "3 messages wait, the oldest since 2026-01-25T05:54:00Z" in said
    assert "telegram failed 4 times in a row: chat not found" in said
    assert "1 messages of the last day were given up" in said


def test_alerts_cannot_be_judged_without_the_database(tmp_path: Path) -> None:
    check = doctor.alerts_check(DatabaseSettings(postgres_host=str(tmp_path)))
    assert (check.ok, bool(check.fix)) == (None, True)


def test_people_are_told_to_start_it_as_it_was_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_command() == "aegis up"
    monkeypatch.setenv("AEGIS_STARTED_BY", "docker-compose up -d")
    assert start_command() == "docker-compose up -d"


def model_line(state: str, failures: int = 0) -> language_models.ProviderLine:
    return language_models.ProviderLine(
        provider="zai",
        model="m",
        state=state,
        recent=0,
        per_minute=8,
        failures=failures,
        problem="HTTP 401" if failures else None,
        hold_until=None,
        answered_at=None,
    )


def test_language_models_that_nobody_set_are_no_failure() -> None:
    assert language_models.judge([model_line("not set")]).ok is None


def test_one_language_model_that_answers_is_enough() -> None:
    check = language_models.judge([model_line("failing", 3), model_line("ok")])
    assert check.ok
    assert "HTTP 401" in check.detail


def test_when_every_language_model_fails_its_reason_is_shown() -> None:
    assert "HTTP 401" in red(language_models.judge([model_line("left alone", 1), model_line("not set")]))


def test_language_models_are_not_judged_without_the_database(tmp_path: Path) -> None:
    away = DatabaseSettings(host=str(tmp_path), connect_timeout_seconds=1)
    assert doctor.models_check(away).ok is None


@pytest.fixture
def pictured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An aegis.yaml with a site that has pictures."""
    file = tmp_path / "aegis.yaml"
    file.write_text("sites: {sites: [{name: shop, url: 'https://shop.example/', picture: {}}]}\n")
    monkeypatch.setenv("AEGIS_CONFIG", str(file))
    return file


@pytest.mark.parametrize("text", ["{}", "sites: {sites: [{name: a, url: 'https://a.example/'}]}", "sites: 7"])
def test_without_pictures_of_sites_nothing_is_said_of_a_browser(
    text: str, pictured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictured.write_text(text)
    monkeypatch.setenv("PLAYWRIGHT_URL", "ws://browser:3000/aegis")
    assert browser_checks() == []


def test_a_browser_of_this_machine_is_looked_for(
    pictured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = browser_checks()
    assert "no Chromium here" in red(check)
    program = tmp_path / "chromium"
    program.write_text("")
    program.chmod(0o755)
    (check,) = browser_checks()
    assert (check.ok, str(program) in check.detail) == (True, True)
    monkeypatch.setenv("AEGIS_CHROMIUM", str(tmp_path / "none"))
    (check,) = browser_checks()
    assert "none is no program" in red(check)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://browser:3000/aegis?token=hush", "http://browser:3000/"),
        ("wss://browser.example/aegis", "https://browser.example/"),
        ("http://browser:9222", "http://browser:9222/"),
    ],
)
def test_a_browser_that_answers_is_green_and_its_path_is_not_shown(
    url: str, asked: str, pictured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = []

    def get(address: httpx.URL, **_: Any) -> httpx.Response:
        addresses.append(str(address))
        return httpx.Response(426)

    monkeypatch.setenv("PLAYWRIGHT_URL", url)
    monkeypatch.setattr(httpx, "get", get)
    (check,) = browser_checks()
    assert (check.name, check.ok, addresses) == ("browser", True, [asked])
    assert "hush" not in check.detail


def test_a_browser_that_is_not_there_or_no_address_is_red(
    pictured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_address: httpx.URL, **_: Any) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("PLAYWRIGHT_URL", "ws://browser:3000/aegis")
    (check,) = browser_checks()
    assert "ws://browser:3000 does not answer (refused)" in red(check)
    assert "--profile browser" in check.fix
    monkeypatch.setenv("PLAYWRIGHT_URL", "browser:3000")
    (check,) = browser_checks()
    assert "PLAYWRIGHT_URL" in red(check)
