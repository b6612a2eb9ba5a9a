"""`aegis doctor`: whether the browser elsewhere answers. Opens no page in it."""

from __future__ import annotations

import httpx

from aegis_lib.errors import AegisError
from aegis_lib.settings import BrowserSettings
from deployments.check import Check, failed

_NAME = "browser"
_PATIENCE_SECONDS = 2.0


def browser_checks() -> list[Check]:
    """One check where PLAYWRIGHT_URL is set. Any answer of HTTP will do: a WebSocket begins as one."""
    try:
        url = BrowserSettings().url
    except AegisError as error:
        return [failed(_NAME, error)]
    if url is None:
        return []
    address = httpx.URL(url)
    plain = address.copy_with(
        scheme="https" if address.scheme in {"wss", "https"} else "http", path="/", query=None
    )
    shown = f"{address.scheme}://{address.netloc.decode('ascii')}"
    try:
        httpx.get(plain, timeout=_PATIENCE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return [
            Check(
                name=_NAME,
                ok=False,
                detail=f"{shown} does not answer ({error})",
                fix="start it (docker-compose --profile browser up -d), or mend PLAYWRIGHT_URL.",
            )
        ]
    return [Check(name=_NAME, ok=True, detail=f"{shown} answers")]
