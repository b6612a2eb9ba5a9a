"""One picture of one page in a context of its own. What it opens is a stranger's: it must end in time.

Motion is stopped as far as a browser can: no animation, no caret, a fixed window, language and time zone, so
that two pictures of one page are alike to the byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from playwright.async_api import BrowserContext, Dialog, Page
from playwright.async_api import Error as BrowserError

from aegis_lib.adapters.browser import problems
from aegis_lib.pictures.model import PictureRules, Shot, Subject

MOST_IMAGE_BYTES = 40 * 1024 * 1024
_HEIGHT = """() => Math.max(
    document.documentElement ? document.documentElement.scrollHeight : 0,
    document.body ? document.body.scrollHeight : 0
)"""
_SCROLL = """async (most) => {
    const step = Math.max(200, window.innerHeight);
    for (let y = step; y < Math.min(most, document.documentElement.scrollHeight); y += step) {
        window.scrollTo({top: y, behavior: "instant"});
        await new Promise((done) => setTimeout(done, 40));
    }
    window.scrollTo({top: 0, behavior: "instant"});
}"""
_HIDE = """(found) => { for (const one of found) one.style.setProperty("display", "none", "important"); }"""
NO_PEER_CONNECTIONS = """
for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel"]) delete window[name];
"""
"""Scripts would learn inner addresses by them, and send without asking the gate."""


class _Stage:
    """What is being done, for whoever waits in vain."""

    name = "loading"


async def take(context: BrowserContext, subject: Subject, at_the_gate: Callable[[], str | None]) -> Shot:
    """The shot of a subject; its rules' time-out bounds everything.

    Raises:
        BrowserError: the browser is gone.
    """
    stage = _Stage()
    rules = subject.rules
    try:
        async with asyncio.timeout(rules.timeout_seconds):
            return await _taken(context, subject, stage)
    except TimeoutError:
        return Shot(subject=subject, problem=f"{stage.name} took longer than {rules.timeout_seconds:g} s")
    except _Unusable as error:
        return Shot(subject=subject, problem=str(error))
    except BrowserError as error:
        if not context.browser or not context.browser.is_connected():
            raise
        if problems.code(str(error)) == problems.GATE_UNREACHABLE:
            raise
        return Shot(subject=subject, problem=problems.in_words(str(error), at_the_gate()))


class _Unusable(Exception):
    """There is a page, but not the picture that the rules ask for."""


async def _taken(context: BrowserContext, subject: Subject, stage: _Stage) -> Shot:
    rules = subject.rules
    page = await context.new_page()
    context.on("page", _close)  # a window that the page opens
    page.on("dialog", _dismiss)
    crashed = asyncio.Event()
    page.on("crash", lambda _: crashed.set())
    page.set_default_timeout(0)  # the time of everything together is bounded above
    answer = await page.goto(subject.url, wait_until=rules.wait_until)
    if rules.wait_for is not None:
        stage.name = f"waiting for {rules.wait_for}"
        await _located(page, "wait_for", rules.wait_for)
        await page.locator(f"css={rules.wait_for}").first.wait_for(state="visible")
    if rules.full_page:
        stage.name = "scrolling through the page"
        await page.evaluate(_SCROLL, rules.max_height)
    stage.name = "letting it settle"
    if await _happens(crashed, rules.settle_ms / 1000):
        raise _Unusable("the page crashed")
    stage.name = "hiding what is not wanted"
    for selector in rules.hide_selectors:
        await _located(page, "hide_selectors", selector)
        await page.locator(f"css={selector}").evaluate_all(_HIDE)
    stage.name = "taking the picture"
    image = await _image(page, rules)
    if len(image) > MOST_IMAGE_BYTES:
        raise _Unusable(f"the picture has {len(image)} bytes, more than {MOST_IMAGE_BYTES}")
    status = answer.status if answer else None
    problem = f"HTTP {status}" if status is not None and status >= 400 else None
    return Shot(subject=subject, image=image, http_status=status, problem=problem)


async def _located(page: Page, key: str, selector: str) -> None:
    try:
        await page.locator(f"css={selector}").count()
    except BrowserError as error:
        if "selector" not in str(error).lower():
            raise
        raise _Unusable(f"picture.{key}: {selector!r} is no CSS selector") from None


async def _image(page: Page, rules: PictureRules) -> bytes:
    hidden = ", ".join(rules.hide_selectors)
    style = f"{hidden} {{ display: none !important; }}" if hidden else None
    height = rules.viewport.height
    if rules.full_page:
        whole = await page.evaluate(_HEIGHT)
        height = min(max(height, int(whole) if isinstance(whole, int | float) else 0), rules.max_height)
    return await page.screenshot(
        type="png",
        full_page=rules.full_page,
        clip={"x": 0, "y": 0, "width": rules.viewport.width, "height": height},
        animations="disabled",
        caret="hide",
        scale="css",
        style=style,
        timeout=0,
    )


async def _happens(event: asyncio.Event, within_seconds: float) -> bool:
    try:
        async with asyncio.timeout(within_seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def _close(page: Page) -> None:
    await page.close()


async def _dismiss(dialog: Dialog) -> None:
    await dialog.dismiss()
