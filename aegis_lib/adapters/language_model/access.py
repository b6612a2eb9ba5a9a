"""How a provider is reached, and which settings say so. Must not show the secret that it holds."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True)
class Access:
    """One provider: its name in records, its model, its address; and the variables to mend each of them."""

    name: str
    model: str
    base_url: str
    secret: SecretStr | None
    model_setting: str
    address_setting: str
    secret_setting: str
    model_mend: str = "name one that the provider has."
