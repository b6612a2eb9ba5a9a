"""Getting a browser: Chromium of this machine, or one elsewhere at `PLAYWRIGHT_URL`. Opens no page in it.

The local one gets a clean environment, resolves no name by itself, and is sandboxed unless it runs as root,
for whom Chromium has no sandbox. Reference: https://playwright.dev/python/docs/api/class-browsertype
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from playwright.async_api import Browser, BrowserType, Playwright
from playwright.async_api import Error as BrowserError
from playwright.async_api import TimeoutError as TooLong

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.logs import get_logger
from aegis_lib.settings import BrowserSettings

SYSTEM = "browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_START_MS = 30_000
_CONNECT_SECONDS = 30.0
_DEBUGGER_SECONDS = (8.0, 8.0, 14.0)
_HEAP_MEGABYTES = 512
ARGUMENTS = (
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-dev-shm-usage",
    "--dns-prefetch-disable",
    "--no-first-run",
    "--no-pings",
    "--force-color-profile=srgb",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    f"--js-flags=--max-old-space-size={_HEAP_MEGABYTES}",
)
_NOT_A_BROWSER = re.compile(
    r"Unexpected token|not valid JSON|Unexpected status|Unexpected server response|"
    r"WebSocket error: \S+ \d{3}\b|Protocol error|Invalid URL"
)
_OTHER_VERSION = re.compile(r"version mismatch|different version|\b428\b", re.IGNORECASE)
log = get_logger(__name__)


@dataclass(frozen=True)
class Way:
    """Between browser and gates: the address of ours to listen on, and those the browser comes from."""

    listen: str = "127.0.0.1"
    peers: frozenset[str] = frozenset({"127.0.0.1"})


def program(settings: BrowserSettings, of_playwright: str) -> str:
    """The Chromium of this machine.

    Raises:
        Misconfigured: `AEGIS_CHROMIUM` is no program.
        NotConfigured: there is none, and none elsewhere was named.
    """
    if settings.chromium is not None:
        found = shutil.which(str(settings.chromium.expanduser()))
        if found is None:
            raise Misconfigured(
                "AEGIS_CHROMIUM", f"{settings.chromium} is no program.", "name Chromium's program."
            )
        return found
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if Path(of_playwright).is_file():
        return of_playwright
    raise NotConfigured(
        "PLAYWRIGHT_URL",
        purpose="take pictures with a browser elsewhere, or install Chromium here (apt-get install chromium)",
    )


async def launched(playwright: Playwright, settings: BrowserSettings, home: Path) -> Browser:
    """A new Chromium of this machine; `home` is a directory that it may write to.

    Raises:
        DependencyUnavailable: it does not start.
        Misconfigured, NotConfigured: see `program`.
    """
    path = program(settings, playwright.chromium.executable_path)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    sandboxed = os.geteuid() != 0
    if not sandboxed:
        log.warning("browser_without_sandbox", reason="Chromium has none for root")
    try:
        return await playwright.chromium.launch(
            executable_path=path,
            chromium_sandbox=sandboxed,
            args=list(ARGUMENTS),
            env={**kept, "HOME": str(home), "TZ": "UTC"},
            timeout=_START_MS,
        )
    except BrowserError as error:
        raise DependencyUnavailable(SYSTEM, f"{path} does not start: {_why(error)}.", _mend(error)) from None


def _why(error: BrowserError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\[pid=\d+\]\[err\]|error while loading|No usable", line)]
    return re.sub(r"^.*\[err\]\s*", "", (telling or lines or ["it does not say why"])[0])[:200].rstrip(".")


def _mend(error: BrowserError) -> str:
    if "sandbox" in str(error).lower():
        return (
            "allow user namespaces to ordinary users (sysctl kernel.unprivileged_userns_clone=1), install "
            "chromium-sandbox, or use a browser elsewhere (PLAYWRIGHT_URL)."
        )
    return "start it by hand (chromium --headless --dump-dom about:blank) and see what it lacks."


# --- a browser elsewhere ---


def shown(url: str) -> str:
    """The address without its path, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


async def connected(kind: BrowserType, url: str) -> Browser:
    """The browser elsewhere: `ws://` is Playwright's protocol, `http://` Chromium's own.

    A Chromium that is just starting may leave a debugger without an answer, so that one asks again.

    Raises:
        DependencyUnavailable: it does not answer.
        Misconfigured: what answers there is no such browser, or Playwright of another version.
    """
    playwrights = url.startswith("ws")
    connect = kind.connect if playwrights else kind.connect_over_cdp
    said = ""
    for seconds in (_CONNECT_SECONDS,) if playwrights else _DEBUGGER_SECONDS:
        try:
            return await connect(url, timeout=seconds * 1000)
        except BrowserError as error:
            said = str(error)
            if not isinstance(error, TooLong):
                break
    raise _refusal(url, said)  # out here: the library's error holds the whole address


def _refusal(url: str, said: str) -> AegisError:
    where = shown(url)
    if _OTHER_VERSION.search(said):
        return Misconfigured(
            "PLAYWRIGHT_URL",
            f"{where} is Playwright of another version.",
            "run the same version there (`docker-compose build browser`), or name Chromium's http:// port.",
        )
    if _NOT_A_BROWSER.search(said):
        return Misconfigured(
            "PLAYWRIGHT_URL",
            f"{where} answers, but not as a browser.",
            "ws:// is for Playwright's server, with its path; http:// for Chromium's debugging port.",
        )
    reason = re.search(r"\b(E[A-Z]{4,}|Timeout \d+ms exceeded)", said)
    return DependencyUnavailable(
        SYSTEM,
        f"{where} does not answer{f' ({reason[1]})' if reason else ''}.",
        "start it (docker-compose --profile browser up -d), or mend PLAYWRIGHT_URL.",
    )


async def way_to(url: str) -> Way:
    """How a browser elsewhere reaches this machine: by the address that this machine reaches it from.

    Raises:
        DependencyUnavailable: it does not answer.
    """
    return await asyncio.get_running_loop().run_in_executor(None, _way_to, url)


def _way_to(url: str) -> Way:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in {"wss", "https"} else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS) as tried:
            ours, theirs = tried.getsockname()[0], tried.getpeername()[0]
        known = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DependencyUnavailable(
            SYSTEM,
            f"{shown(url)} does not answer ({error.strerror or type(error).__name__}).",
            "start it (docker-compose --profile browser up -d), or mend PLAYWRIGHT_URL.",
        ) from error
    return Way(str(ours), frozenset({str(theirs), *(str(entry[4][0]) for entry in known)}))


# --- memory of a local browser ---


def end_the_greedy(most_bytes: int) -> int:
    """End each page's process that takes more memory than that: how many. Only of this process's browsers."""
    ended = 0
    for process in _renderers():
        try:
            taken = process.memory_info().rss
            if taken > most_bytes:
                process.kill()
                ended += 1
                log.warning("page_ended_for_its_memory", megabytes=taken >> 20)
        except psutil.Error:  # it is gone
            continue
    return ended


def _renderers() -> Iterator[psutil.Process]:
    try:
        children = psutil.Process().children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        try:
            if "--type=renderer" in child.cmdline():
                yield child
        except psutil.Error:
            continue
