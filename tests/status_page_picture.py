"""Makes docs/images/status.png: the status page of a made-up installation, on a desk and on a phone.

python -m tests.status_page_picture
"""

from __future__ import annotations

import io
import tempfile
from datetime import timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from aegis_lib.adapters.browser import chromium
from aegis_lib.settings import BrowserSettings
from tests import status_page_values as values

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "status.png"
HEIGHT, GAP = 1000, 20
VIEWS = (("light", 1280), ("dark", 375))


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        path = Path(directory) / "index.html"
        path.write_bytes(values.page())
        browser = playwright.chromium.launch(
            executable_path=chromium.program(BrowserSettings(), ""), args=["--no-sandbox", "--disable-gpu"]
        )
        taken = []
        for scheme, width in VIEWS:
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": HEIGHT})
            page.clock.install(time=values.NOW + timedelta(minutes=1))
            page.goto(path.as_uri())
            taken.append(Image.open(io.BytesIO(page.screenshot())))
        browser.close()
    wide = sum(width for _, width in VIEWS) + GAP
    picture = Image.new("RGB", (wide, HEIGHT), "#ffffff")
    at = 0
    for one in taken:
        picture.paste(one, (at, 0))
        at += one.width + GAP
    picture.quantize(128, dither=Image.Dither.NONE).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
