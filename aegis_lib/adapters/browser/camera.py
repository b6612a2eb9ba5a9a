"""Pictures of web pages, one browser for all of them and a context for each. Keeps nothing of what it saw.

    with camera.connect(BrowserSettings(), at_once=3) as opened:
        for shot in opened.pictures(subjects): ...

The browser is asked for when the first picture is. Playwright's event loop runs in a thread of its own, since
the job's may have another. A page that hangs is left at its time-out; when the browser itself dies, the pages
that were in it are tried once more, alone, in a new one, so that it costs only whoever killed it.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from playwright.async_api import Browser, BrowserContext, Playwright, async_playwright
from playwright.async_api import Error as BrowserError

from aegis_lib.adapters.browser import chromium, problems, taking
from aegis_lib.adapters.browser.gates import Gate
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.logs import get_logger
from aegis_lib.pictures.model import Shot, Subject
from aegis_lib.settings import BrowserSettings

PAGE_BYTES = 1 << 30
"""A local page that takes more memory is ended."""
_LOOKS_SECONDS = 1.0
_CONTEXT_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
_END_SECONDS = 20.0
_RECONNECTS = 8
_RECONNECT_SECONDS = 3.0
Result = TypeVar("Result")
log = get_logger(__name__)


@contextmanager
def connect(settings: BrowserSettings, at_once: int = 3) -> Iterator[BrowserCamera]:
    """A camera with `at_once` pages at a time; at the end nothing of it runs any more."""
    camera = BrowserCamera(settings, at_once)
    try:
        yield camera
    finally:
        camera.close()


class BrowserCamera:
    """Takes pictures with Chromium, of this machine or elsewhere."""

    def __init__(self, settings: BrowserSettings, at_once: int, *, page_bytes: int = PAGE_BYTES) -> None:
        self._settings, self._at_once, self._page_bytes = settings, at_once, page_bytes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._watch: asyncio.Task[None] | None = None
        self._way: chromium.Way | None = None
        self._turn = asyncio.Lock()
        self.browsers = 0
        """How many were started or connected to."""

    def pictures(
        self, subjects: Sequence[Subject], go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[Shot]:
        """One shot per subject, as they get ready; no page is begun once `go_on` says no."""
        waiting = deque(subjects)
        running: dict[Future[Shot | None], Subject] = {}
        lost: deque[Subject] = deque()
        try:
            while True:
                while waiting and len(running) < self._at_once and go_on():
                    subject = waiting.popleft()
                    running[self._submit(self._shoot(subject))] = subject
                if not running:
                    break
                for ready in wait(running, return_when=FIRST_COMPLETED).done:
                    subject, shot = running.pop(ready), ready.result()
                    if shot is None:
                        lost.append(subject)
                    else:
                        yield shot
        finally:
            for future in running:
                future.cancel()
        while lost and go_on():
            subject = lost.popleft()
            again = self._submit(self._shoot(subject)).result()
            yield again or Shot(subject=subject, problem="the browser crashed on it, twice")

    def close(self) -> None:
        """End the browser, if it is ours, and everything else."""
        if self._loop is None or self._thread is None:
            return
        with suppress(TimeoutError):
            self._submit(self._end()).result(timeout=_END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = self._thread = None
        if self._home is not None:
            self._home.cleanup()

    # --- the thread ---

    def _submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(_note)
            self._thread = threading.Thread(target=self._loop.run_forever, name="camera", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._browser is not None:
            await _within(self._browser.close())
        if self._playwright is not None:
            await _within(self._playwright.stop())

    # --- the browser ---

    async def _opened(self) -> Browser:
        """The browser; a new one where there is none, or it died."""
        async with self._turn:
            if self._browser is not None and self._browser.is_connected():
                return self._browser
            if self._playwright is None:
                self._playwright = await async_playwright().start()
            if self._settings.url is None:
                self._way = chromium.Way()
                if self._home is None:
                    self._home = tempfile.TemporaryDirectory(
                        prefix="aegis-browser-", ignore_cleanup_errors=True
                    )
                self._browser = await chromium.launched(
                    self._playwright, self._settings, Path(self._home.name)
                )
                self._watch = self._watch or asyncio.create_task(self._watch_memory())
            else:
                self._browser = await self._connected(self._playwright, self._settings.url)
            self.browsers += 1
            log.info("browser_opened", version=self._browser.version, number=self.browsers)
            return self._browser

    async def _connected(self, playwright: Playwright, url: str) -> Browser:
        """One that was there a moment ago may be starting again: it is waited for."""
        for attempt in range(_RECONNECTS if self.browsers else 1):
            if attempt:
                await asyncio.sleep(_RECONNECT_SECONDS)
            try:
                self._way = await chromium.way_to(url) if self._settings.filter else None
                return await chromium.connected(playwright.chromium, url)
            except DependencyUnavailable as error:
                away = error
        raise away

    async def _retire(self, browser: Browser) -> None:
        """Use that browser no more: a page of it cannot even be closed."""
        async with self._turn:
            if self._browser is browser:
                self._browser = None
                log.warning("browser_retired")
        await _within(browser.close())

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(_LOOKS_SECONDS)
            chromium.end_the_greedy(self._page_bytes)

    # --- one picture ---

    async def _shoot(self, subject: Subject) -> Shot | None:
        """The shot; None when the browser died."""
        began = time.monotonic()
        browser = await self._opened()
        context: BrowserContext | None = None
        gate: Gate | None = None
        try:
            if self._way is not None:
                gate = Gate(allow_private=subject.allow_private, peers=self._way.peers)
                await gate.open(self._way.listen)
            async with asyncio.timeout(_CONTEXT_SECONDS):
                context = await self._context(browser, subject, gate)
            shot = await taking.take(context, subject, lambda: gate.problem if gate else None)
        except TimeoutError:
            await self._retire(browser)
            return None
        except BrowserError as error:
            if problems.code(str(error)) == problems.GATE_UNREACHABLE:
                raise self._no_way(gate) from None
            log.warning("browser_lost", site=subject.site)
            return None
        finally:
            if context is not None and browser.is_connected() and not await _within(context.close()):
                await self._retire(browser)
            if gate is not None:
                await gate.close()
        if gate is not None and gate.too_much and shot.problem is not None:
            shot = shot.model_copy(update={"problem": f"it loads more than {gate.received >> 20} MiB"})
        taken_by = f"{browser.browser_type.name} {browser.version.partition('.')[0]}"
        seconds = round(time.monotonic() - began, 3)
        return shot.model_copy(update={"browser": taken_by, "seconds": seconds})

    @staticmethod
    async def _context(browser: Browser, subject: Subject, gate: Gate | None) -> BrowserContext:
        rules = subject.rules
        context = await browser.new_context(
            viewport={"width": rules.viewport.width, "height": rules.viewport.height},
            device_scale_factor=1,
            color_scheme=rules.color_scheme,
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
            accept_downloads=False,
            service_workers="block",
            permissions=[],
            ignore_https_errors=not subject.verify_tls,
            proxy={"server": gate.address, "bypass": "<-loopback>"} if gate else None,
        )
        await context.add_init_script(taking.NO_PEER_CONNECTIONS)
        return context

    def _no_way(self, gate: Gate | None) -> DependencyUnavailable:
        where = f" at {gate.address}" if gate else ""
        return DependencyUnavailable(
            chromium.SYSTEM,
            f"the browser does not reach this machine{where}, through which it must open pages.",
            "put both into one network; or see PLAYWRIGHT_FILTER in docs/pictures.md.",
        )


async def _within(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether it was closed in time, or was gone already."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await closing
    except TimeoutError:
        return False
    except BrowserError:
        pass
    return True


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waits for any more, such as a page's answer after its time-out."""
    log.debug("browser_leftover", what=str(context.get("message")), error=str(context.get("exception")))
