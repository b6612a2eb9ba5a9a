"""How a setting is read: environment, `.env`, `NAME_FILE`, a directory of secrets. Knows no setting by name.

What cannot be read, has a wrong value or is still the example's placeholder is a `Misconfigured`; no value of
a secret stands in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from aegis_lib.errors import Misconfigured

_PLACEHOLDER = re.compile(r"^(change[-_ ]?me|your[-_ ].*|<.*>|xxx+|replace[-_ ]?me.*)$", re.IGNORECASE)

LARGEST_FILE_CHARACTERS = 100_000
"""More is no setting: somebody named the wrong file."""


class _FileSource(PydanticBaseSettingsSource):
    """Reads `NAME_FILE` for each field whose variable is NAME."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        variable = _variable(field, field_name)
        named = _lookup(f"{variable}_FILE", self._lines)
        if named is None:
            return self._in_directory(variable), variable, False
        if _lookup(variable, self._lines) is not None:
            raise Misconfigured(f"{variable}_FILE", f"{variable} is set as well.", "keep one of the two.")
        return _read(f"{variable}_FILE", Path(named).expanduser()), variable, False

    def _in_directory(self, variable: str) -> str | None:
        """What stands in the directory of secrets, unless the variable itself is set."""
        directory = _lookup("AEGIS_SECRETS_DIR", self._lines)
        if directory is None or _lookup(variable, self._lines) is not None:
            return None
        path = Path(directory).expanduser() / variable
        return _read("AEGIS_SECRETS_DIR", path) if os.path.lexists(path) else None

    def __call__(self) -> dict[str, Any]:
        self._lines = DotEnvSettingsSource(self.settings_cls).env_vars
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, variable, _ = self.get_field_value(field, name)
            if value is not None:
                found[variable.lower()] = value
        return found


def _variable(field: FieldInfo, name: str) -> str:
    return str(field.validation_alias or name).upper()


def _lookup(variable: str, lines: Mapping[str, str | None]) -> str | None:
    return os.environ.get(variable) or os.environ.get(variable.lower()) or lines.get(variable.lower()) or None


def _read(setting: str, path: Path) -> str:
    # Errors are raised after the handlers, so that a decoding error, which holds the bytes, is not attached.
    reason = ""
    try:
        with path.open(encoding="utf-8") as opened:
            text = opened.read(LARGEST_FILE_CHARACTERS + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    if reason:
        raise Misconfigured(setting, f"{path} cannot be read: {reason}.", "name a readable text file.")
    if len(text) > LARGEST_FILE_CHARACTERS:
        raise Misconfigured(setting, f"{path} is too large.", "name a file that holds the value and no more.")
    if not text.strip():
        raise Misconfigured(setting, f"{path} is empty.", f"write the value into it, or unset {setting}.")
    return text.strip()


class Settings(BaseSettings):
    """Base: names are the environment's, empty means unset, a bad value is a `Misconfigured`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    def __init__(self, **values: Any) -> None:
        # Fields may be given by name, but not by pydantic's own switch for that: it would also read `USER`,
        # `HOST` and `PORT` from the environment, because fields have such names.
        fields = type(self).model_fields
        named = {
            _variable(fields[key], key).lower() if key in fields else key: value
            for key, value in values.items()
        }
        refused: Misconfigured | None = None
        try:
            super().__init__(**named)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = str(first["loc"][0]).upper() if first["loc"] else type(self).__name__
            refused = Misconfigured(name, f"{first['msg']}.", "correct it in the environment or .env.")
        except UnicodeDecodeError:
            refused = Misconfigured(".env", "is not UTF-8 text.", "save it as UTF-8.")
        except OSError as error:
            refused = Misconfigured(".env", f"cannot be read: {error.strerror}.", "make it readable.")
        if refused is not None:
            raise refused  # out here: the library's errors hold the value, which may be a secret
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            if isinstance(plain, str) and _PLACEHOLDER.match(plain):
                variable = _variable(field, name)
                raise Misconfigured(variable, "still holds the example's placeholder.", "set the real value.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _FileSource(settings_cls), env_settings, dotenv_settings
