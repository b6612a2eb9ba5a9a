"""`aegis doctor`: whether there is a browser for the sites that have pictures. Opens no page in it."""

from __future__ import annotations

import shutil

import httpx

from aegis_lib import config
from aegis_lib.errors import AegisError, Misconfigured
from aegis_lib.settings import BrowserSettings
from deployments.check import Check, failed

_NAME = "browser"
_PATIENCE_SECONDS = 2.0
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


def browser_checks() -> list[Check]:
    """One check where a site of aegis.yaml has pictures; a mistake in that file is told by another."""
    try:
        sites = config.load().sites.sites
    except Misconfigured:
        return []
    if not any(site.picture is not None and site.picture.enabled for site in sites):
        return []
    try:
        settings = BrowserSettings()
    except AegisError as error:
        return [failed(_NAME, error)]
    return [_here(settings) if settings.url is None else _elsewhere(settings.url)]


def _here(settings: BrowserSettings) -> Check:
    wanted = [str(settings.chromium.expanduser())] if settings.chromium is not None else _PROGRAMS
    found = next((path for name in wanted if (path := shutil.which(name))), None)
    if found is not None:
        return Check(name=_NAME, ok=True, detail=f"{found}, for pictures of sites")
    named = f"{settings.chromium} is no program" if settings.chromium else "there is no Chromium here"
    return Check(
        name=_NAME,
        ok=False,
        detail=f"{named}, and sites of aegis.yaml have pictures",
        fix="install it (apt-get install chromium), name it in AEGIS_CHROMIUM, or set PLAYWRIGHT_URL.",
    )


def _elsewhere(url: str) -> Check:
    """Any answer of HTTP will do: a WebSocket begins as one."""
    address = httpx.URL(url)
    plain = address.copy_with(
        scheme="https" if address.scheme in {"wss", "https"} else "http", path="/", query=None
    )
    shown = f"{address.scheme}://{address.host}{f':{address.port}' if address.port else ''}"
    try:
        httpx.get(plain, timeout=_PATIENCE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return Check(
            name=_NAME,
            ok=False,
            detail=f"{shown} does not answer ({error}), and sites of aegis.yaml have pictures",
            fix="start it (docker-compose --profile browser up -d), or mend PLAYWRIGHT_URL.",
        )
    return Check(name=_NAME, ok=True, detail=f"{shown} answers")
