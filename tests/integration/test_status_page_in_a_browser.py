"""The status page in a real Chromium: light and dark, phone and desk, by keyboard, and asking for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from aegis_lib.adapters.browser import chromium
from aegis_lib.errors import NotConfigured
from aegis_lib.settings import BrowserSettings
from tests import requirement
from tests import status_page_values as values

LONG = "an-alert-with-a-title-that-nobody-can-break-" * 4
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
CONTRAST = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const unseen = ["STYLE", "SCRIPT", "title", "desc"].includes(element.tagName);
    if (unseen || !walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = element.tagName === "text" ? style.fill : style.color;
    seen.push([ratio(numbers(colour), behind(element)), walker.currentNode.data.trim().slice(0, 40)]);
  }
  const drawn = document.querySelectorAll("svg path[stroke^='var'], svg path[fill^='var']");
  const shapes = [...drawn].map(shape => {
    const style = getComputedStyle(shape);
    const colour = style.fill === "none" ? style.stroke : style.fill;
    return [ratio(numbers(colour), behind(shape)), shape.outerHTML.slice(0, 40)];
  });
  return {texts: seen, shapes};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        program = chromium.program(BrowserSettings(), "")
    except NotConfigured:
        requirement.missing("chromium", "Install chromium: apt-get install chromium.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    facts = values.facts()
    strange = facts.model_copy(
        update={
            "alerts": (*facts.alerts, facts.alerts[0].model_copy(update={"id": 1, "title": LONG})),
            "jobs": (*facts.jobs, facts.jobs[0].model_copy(update={"job_id": LONG.replace("-", "_")})),
            "changes": (*facts.changes, facts.changes[0].model_copy(update={"diff": f"+{LONG}"})),
        }
    )
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(values.page(strange))
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme, width = getattr(request, "param", ("light", 1280))
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        opened = context.new_page()
        opened.clock.install(time=values.NOW + timedelta(minutes=3))
        yield opened


EVERYWHERE = pytest.mark.parametrize(
    "page", [(scheme, width) for scheme in ("light", "dark") for width in (375, 1280)], indirect=True
)


@EVERYWHERE
def test_the_page_fits_asks_for_nothing_and_can_be_read(page: Page, address: str, tmp_path: Path) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")

    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]  # type: ignore[index]
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    found = page.evaluate(CONTRAST)
    assert len(found["texts"]) > 200
    assert len(found["shapes"]) > 40
    assert [text for text in found["texts"] if text[0] < 4.5] == []
    assert [shape for shape in found["shapes"] if shape[0] < 3] == []


@pytest.mark.parametrize("page", [("light", 1280)], indirect=True)
def test_the_dark_page_is_dark(page: Page, address: str) -> None:
    page.goto(address)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_the_page_can_be_used_by_keyboard_alone(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#content"
    summary = page.locator("#changes summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("#changes details").first.get_attribute("open") is not None


def test_the_page_has_landmarks_ordered_headings_and_names_for_what_is_drawn(
    page: Page, address: str
) -> None:
    page.goto(address)
    landmarks = "['header', 'nav', 'main', 'footer'].map(one => document.querySelectorAll(one).length)"
    assert page.evaluate(landmarks) == [1, 1, 1, 1]
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    unnamed = "[...document.querySelectorAll('svg')].filter(one => !one.querySelector('title').textContent)"
    assert page.evaluate(f"{unnamed}.length") == 0
    assert page.evaluate("[...document.images].filter(one => !one.alt).length") == 0
    assert page.evaluate("[...document.querySelectorAll('th')].filter(one => !one.scope).length") == 0
    assert page.evaluate(
        "document.querySelectorAll('table').length === document.querySelectorAll('caption').length"
    )
    targets = "[...document.querySelectorAll('nav a')].map(one => document.querySelector(one.hash) !== null)"
    assert set(page.evaluate(targets)) == {True}


def test_a_page_that_has_grown_old_says_so(page: Page, address: str) -> None:
    page.goto(address)
    notice = page.get_by_role("alert")
    assert not notice.is_visible()
    page.clock.run_for(timedelta(minutes=18).total_seconds() * 1000)
    assert notice.is_visible()
    assert notice.inner_text().startswith("This page is 21 minutes old")
