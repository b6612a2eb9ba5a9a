"""Settings: where values come from, which are refused, and that secrets stay secret."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from aegis_lib import settings
from aegis_lib.errors import Misconfigured
from aegis_lib.settings import (
    AlertUrlSettings,
    ClaudeSettings,
    DatabaseSettings,
    DiscordSettings,
    DockerSettings,
    InstallationSettings,
    LogSettings,
    Settings,
    TelegramSettings,
    ZaiSettings,
)

SECRET = "s3cr3t-value-42"
CLASSES = [
    found
    for _, found in inspect.getmembers(settings, inspect.isclass)
    if issubclass(found, Settings) and found is not Settings
]


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `.env` read is the one in a fresh directory."""
    monkeypatch.chdir(tmp_path)
    for found in CLASSES:
        monkeypatch.setitem(found.model_config, "env_file", ".env")


def refusal(make: Callable[[], object]) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        make()
    assert caught.value.mend, "a refusal says how to mend it"
    return caught.value


def plain(secret: SecretStr | None) -> str | None:
    return secret and secret.get_secret_value()


def test_there_are_settings_to_test() -> None:
    assert len(CLASSES) >= 10


@pytest.mark.parametrize("found", CLASSES)
def test_every_class_works_with_nothing_set(found: type[Settings]) -> None:
    found()


@pytest.mark.parametrize("found", CLASSES)
def test_no_secret_has_a_default(found: type[Settings]) -> None:
    held = found()
    assert [name for name in type(held).model_fields if isinstance(getattr(held, name), SecretStr)] == []


def test_a_value_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_PORT", "4300")
    assert InstallationSettings().port == 4300


def test_a_value_comes_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AEGIS_PORT=4301\nUNKNOWN=1\n")
    assert InstallationSettings().port == 4301


def test_the_environment_goes_before_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AEGIS_PORT=4301\n")
    monkeypatch.setenv("AEGIS_PORT", "4302")
    assert InstallationSettings().port == 4302


def test_a_value_given_in_code_goes_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "other")
    assert plain(DiscordSettings(bot_token=SECRET).bot_token) == SECRET
    assert plain(DiscordSettings(discord_bot_token=SECRET).bot_token) == SECRET


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_means_unset(
    empty: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if empty is None:
        (tmp_path / ".env").write_text("DISCORD_BOT_TOKEN=\nAEGIS_PORT=\nDISCORD_BOT_TOKEN_FILE=\n")
    else:
        monkeypatch.setenv("DISCORD_BOT_TOKEN", empty)
        monkeypatch.setenv("DISCORD_BOT_TOKEN_FILE", empty)
        monkeypatch.setenv("AEGIS_PORT", empty)
    assert DiscordSettings().bot_token is None
    assert InstallationSettings().port == 4200


@pytest.mark.parametrize("where", ["environment", "env file"])
def test_a_secret_comes_from_the_file_that_is_named(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    if where == "environment":
        monkeypatch.setenv("DISCORD_BOT_TOKEN_FILE", str(tmp_path / "token"))
    else:
        (tmp_path / ".env").write_text(f"DISCORD_BOT_TOKEN_FILE={tmp_path / 'token'}\n")
    assert plain(DiscordSettings().bot_token) == SECRET


def test_the_named_file_may_be_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", "~/token")
    assert plain(DatabaseSettings().password) == SECRET


def test_a_number_may_come_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "port").write_text("4303\n")
    monkeypatch.setenv("AEGIS_PORT_FILE", str(tmp_path / "port"))
    assert InstallationSettings().port == 4303


@pytest.mark.parametrize("elsewhere", [True, False], ids=["in-the-env-file", "in-the-environment"])
def test_a_variable_and_its_file_at_once_are_refused(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setenv("DISCORD_BOT_TOKEN_FILE", str(tmp_path / "token"))
    if elsewhere:
        (tmp_path / ".env").write_text(f"DISCORD_BOT_TOKEN={SECRET}\n")
    else:
        monkeypatch.setenv("DISCORD_BOT_TOKEN", SECRET)
    error = refusal(DiscordSettings)
    assert error.setting == "DISCORD_BOT_TOKEN_FILE"
    assert "DISCORD_BOT_TOKEN is set as well" in str(error)
    assert SECRET not in str(error)


def named(content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Misconfigured:
    place = tmp_path / "token"
    if content is not None:
        place.write_bytes(content)
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN_FILE", str(place))
    error = refusal(TelegramSettings)
    assert error.setting == "TELEGRAM_BOT_TOKEN_FILE"
    assert str(place) in str(error)
    return error


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such file" in str(named(None, tmp_path, monkeypatch))


def test_a_named_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").mkdir()
    assert "Is a directory" in str(named(None, tmp_path, monkeypatch))


def test_a_named_file_that_is_empty_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is empty" in str(named(b" \n", tmp_path, monkeypatch))


def test_a_named_file_that_is_endless_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "too large" in str(named(b"x" * 200_000, tmp_path, monkeypatch))


def test_a_named_file_that_is_no_text_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = named(SECRET.encode() + b"\xff\xfe", tmp_path, monkeypatch)
    assert "not UTF-8" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in str(named(None, tmp_path, monkeypatch))


@pytest.mark.parametrize(
    "placeholder",
    ["changeme", "CHANGE-ME", "change_me", "your-token-here", "<token>", "xxxx", "replace_me now"],
)
def test_a_placeholder_is_refused_by_the_name_of_its_variable(
    placeholder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", placeholder)
    error = refusal(DatabaseSettings)
    assert error.setting == "POSTGRES_PASSWORD"
    assert "placeholder" in str(error)


def test_a_placeholder_in_a_file_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("changeme\n")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN_FILE", str(tmp_path / "token"))
    assert refusal(TelegramSettings).setting == "TELEGRAM_BOT_TOKEN"


def test_a_value_that_only_contains_a_placeholders_word_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "pa<b>ss-changeme-2")
    assert plain(DatabaseSettings().password) == "pa<b>ss-changeme-2"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "42.5"])
@pytest.mark.parametrize(
    ("found", "variable"), [(InstallationSettings, "AEGIS_PORT"), (DatabaseSettings, "POSTGRES_PORT")]
)
def test_a_wrong_port_is_refused_by_the_name_of_its_variable(
    found: type[Settings], variable: str, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, port)
    assert refusal(found).setting == variable


@pytest.mark.parametrize("seconds", ["0", "nan", "inf", "-1", "soon"])
def test_a_time_out_that_is_no_time_is_refused(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TIMEOUT", seconds)
    assert refusal(DockerSettings).setting == "DOCKER_TIMEOUT"


def test_an_unknown_log_level_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_LOG_LEVEL", "LOUD")
    assert "'DEBUG', 'INFO', 'WARNING' or 'ERROR'" in str(refusal(LogSettings))


def test_an_env_file_that_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DISCORD_BOT_TOKEN=" + SECRET.encode() + b"\xff\n")
    error = refusal(DiscordSettings)
    assert error.setting == ".env"
    assert error.__context__ is None


def test_an_error_never_carries_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_PORT", SECRET)
    error = refusal(InstallationSettings)
    told = [str(error), repr(error), *traceback.format_exception(error)]
    assert SECRET not in "".join(told)
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("found", "variable", "field"),
    [
        (DatabaseSettings, "POSTGRES_PASSWORD", "password"),
        (DiscordSettings, "DISCORD_BOT_TOKEN", "bot_token"),
        (DiscordSettings, "DISCORD_WEBHOOK_URL", "webhook_url"),
        (TelegramSettings, "TELEGRAM_BOT_TOKEN", "bot_token"),
        (AlertUrlSettings, "ALERT_URLS", "urls"),
        (ZaiSettings, "ZAI_API_KEY", "api_key"),
        (ClaudeSettings, "CLAUDE_CODE_OAUTH_TOKEN", "token"),
    ],
)
def test_a_secret_is_in_no_text_made_of_the_settings(
    found: type[Settings], variable: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    held = found()
    assert plain(getattr(held, field)) == SECRET
    told = [str(held), repr(held), held.model_dump_json(), repr(held.model_dump())]
    assert SECRET not in "".join(told)


def test_settings_do_not_change() -> None:
    held = DiscordSettings()
    with pytest.raises(ValidationError, match="frozen"):
        held.bot_token = SecretStr(SECRET)


def test_importing_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    environment = {
        "AEGIS_PORT": "wrong",
        "POSTGRES_PASSWORD": "changeme",
        "PYTHONPATH": str(Path(settings.__file__).parents[1]),
    }
    modules = "aegis_lib.settings, aegis_lib.adapters.notify.fanout"
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_relative_data_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_DATA_DIR", "data")
    with pytest.raises(Misconfigured, match=r"AEGIS_DATA_DIR.*absolute"):
        InstallationSettings()


def test_variables_that_only_share_a_fields_name_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = Settings.__subclasses__()
    assert len(classes) > 5
    without = [found() for found in classes]
    for found in classes:
        for name, field in found.model_fields.items():
            if name != field.validation_alias:
                monkeypatch.setenv(name.upper(), "777")
    assert [found() for found in classes] == without


def test_a_secret_may_lie_in_the_directory_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DISCORD_BOT_TOKEN").write_text("from the directory\n")
    monkeypatch.setenv("AEGIS_SECRETS_DIR", str(tmp_path))
    token = DiscordSettings().bot_token
    assert token is not None
    assert token.get_secret_value() == "from the directory"
    assert DiscordSettings().webhook_url is None


def test_a_variable_and_its_file_go_before_the_directory_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISCORD_BOT_TOKEN", "DISCORD_WEBHOOK_URL"):
        (tmp_path / name).write_text("from the directory")
    (tmp_path / "elsewhere").write_text("from a file")
    monkeypatch.setenv("AEGIS_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "from the environment")
    monkeypatch.setenv("DISCORD_WEBHOOK_URL_FILE", str(tmp_path / "elsewhere"))
    found = DiscordSettings()
    assert found.bot_token is not None
    assert found.bot_token.get_secret_value() == "from the environment"
    assert found.webhook_url is not None
    assert found.webhook_url.get_secret_value() == "from a file"


def test_an_empty_file_in_the_directory_of_secrets_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DISCORD_BOT_TOKEN").write_text("\n")
    monkeypatch.setenv("AEGIS_SECRETS_DIR", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"AEGIS_SECRETS_DIR: .*DISCORD_BOT_TOKEN is empty"):
        DiscordSettings()


@pytest.mark.parametrize("variable", ["ZAI_BASE_URL", "CLAUDE_BASE_URL"])
@pytest.mark.parametrize("address", ["http://api.example.com", "api.example.com", "ftp://x", "https://"])
def test_a_key_goes_to_no_address_in_the_clear(
    variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(Misconfigured, match=f"{variable}: .*https"):
        (ZaiSettings if variable.startswith("ZAI") else ClaudeSettings)()


@pytest.mark.parametrize("address", ["https://api.example.com/v4/", "http://127.0.0.1:8080"])
def test_an_address_of_this_machine_or_an_encrypted_one_is_taken(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZAI_BASE_URL", address)
    assert ZaiSettings().base_url == address.rstrip("/")


def test_every_secret_in_use_is_known_and_a_wrong_setting_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAI_API_KEY", SECRET)
    monkeypatch.setenv("POSTGRES_PASSWORD", "another secret")
    monkeypatch.setenv("HEARTBEAT_TIMEOUT", "soon")
    assert {SECRET, "another secret"} <= settings.secrets_in_use()
