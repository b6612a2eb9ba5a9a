"""Whether the browser still renders: opens a page of our own in it and takes a picture. Fetches nothing."""

from __future__ import annotations

from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    browser = playwright.chromium.connect("ws://127.0.0.1:3000/aegis", timeout=10_000)
    page = browser.new_page(viewport={"width": 64, "height": 64})
    page.set_content("<p>well</p>")
    if not page.screenshot(timeout=10_000).startswith(b"\x89PNG"):
        raise SystemExit("the picture is none")
    browser.close()
