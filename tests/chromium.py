"""Whether there is a Chromium to test with, and small looks at what it made."""

from __future__ import annotations

import io
import shutil

import psutil
from PIL import Image

from tests import requirement

HOW_TO_INSTALL = "Install it: apt-get install chromium."


def required() -> str:
    """The program; the test is skipped, or fails where AEGIS_REQUIRE names it, when it is not here."""
    found = shutil.which("chromium")
    if found is None:
        requirement.missing("chromium", HOW_TO_INSTALL)
    return str(found)


def running() -> list[psutil.Process]:
    """Processes of browsers that this process started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "chromium" in child.name() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.Error:
            continue
    return found


def opened(image: bytes) -> Image.Image:
    """The image, to look at its pixels."""
    return Image.open(io.BytesIO(image)).convert("RGB")
