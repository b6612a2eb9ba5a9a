"""Secrets of watched sites, each in a variable that its entry in aegis.yaml names. Logs none of them."""

from __future__ import annotations

from functools import cache

from pydantic import Field, SecretStr, create_model

from aegis_lib.setting_sources import Settings


def site_secret(variable: str) -> SecretStr | None:
    """The value of a variable such as `AEGIS_SITE_SHOP_TOKEN`, or None where it is not set.

    As for every setting, `NAME_FILE` may name a file with it, or `AEGIS_SECRETS_DIR` a directory.

    Raises:
        Misconfigured: the file cannot be read, or it holds a placeholder.
    """
    value: SecretStr | None = _named(variable)().model_dump()["value"]
    return value


@cache
def _named(variable: str) -> type[Settings]:
    """A settings class of its own, so that the secret is also among those that are in use."""
    field = Field(default=None, validation_alias=variable.lower())
    return create_model(f"SiteSecret_{variable}", __base__=Settings, value=(SecretStr | None, field))
