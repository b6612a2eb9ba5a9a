"""How many pictures of web pages a minute, and in how much memory: one browser for all, against one per site.

A local server gives pages of several screens with text, boxes and an inline image; each has content of its
own. Ours: the camera of `site_screenshots`, one browser, a context per page, three pages at a time, every
connection through the gate that looks at addresses. Beside it the same camera with a page at a time, and what
is often done: a browser started for each picture, one after the other, without gate and limits. Memory is the
largest sum over all processes of the browser and its driver (proportional set size), sampled five times a
second. About a minute. The last line is JSON.

    python bench/screenshots.py [--sites 30] [--at-once 3]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.adapters.browser import camera
from aegis_lib.pictures.model import PictureRules, Subject
from aegis_lib.settings import BrowserSettings
from tests.fake_services import pages

SETTLE_MS = 100
WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "elitr", "sed", "diam", "nonumy", "eirmod", "tempor")


@dataclass
class Measured:
    pictures: int
    seconds: float
    peak_bytes: int

    @property
    def per_minute(self) -> float:
        return self.pictures * 60 / self.seconds

    def line(self, name: str) -> str:
        return (
            f"{name:<34} {self.per_minute:7.1f} pictures a minute   "
            f"{self.seconds / self.pictures:6.2f} s each   peak {self.peak_bytes / 2**20:6.0f} MiB"
        )


def page(seed: int) -> str:
    """A page of about four screens."""
    drawn = random.Random(seed)
    parts = [f"<!doctype html><title>Site {seed}</title>{pages.STYLE}<h1>Site {seed}</h1>"]
    for number in range(25):
        text = " ".join(drawn.choice(WORDS) for _ in range(60))
        colour = f"hsl({drawn.randrange(360)} 60% 60%)"
        parts.append(f"<h2>{number}</h2><div class=box style='background:{colour}'></div><p>{text}</p>")
    return "".join(parts)


class Memory(threading.Thread):
    """Watches what the children of this process take."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._over = 0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.peak = max(self.peak, sum(map(_taken, psutil.Process().children(recursive=True))))

    def end(self) -> int:
        self._over.set()
        self.join()
        return self.peak


def _taken(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def measured(take: Callable[[], int]) -> Measured:
    watch = Memory()
    watch.start()
    began = time.perf_counter()
    pictures = take()
    return Measured(pictures, time.perf_counter() - began, watch.end())


def ours(subjects: list[Subject], at_once: int) -> int:
    with camera.connect(BrowserSettings(), at_once) as opened:
        shots = list(opened.pictures(subjects))
    bad = [shot.problem for shot in shots if shot.problem]
    if bad:
        raise SystemExit(f"no picture: {bad[0]}")
    return len(shots)


def one_per_site(subjects: list[Subject], program: str) -> int:
    for subject in subjects:
        viewport = subject.rules.viewport
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program)
            opened = browser.new_page(viewport={"width": viewport.width, "height": viewport.height})
            opened.goto(subject.url)
            opened.wait_for_timeout(SETTLE_MS)
            opened.screenshot(full_page=True)
            browser.close()
    return len(subjects)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=30)
    parser.add_argument("--at-once", type=int, default=3)
    arguments = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("Chromium is not here. Install it: apt-get install chromium.")
    rules = PictureRules(settle_ms=SETTLE_MS)
    with pages.serving() as server:
        subjects = []
        for number in range(arguments.sites):
            server.pages[f"/site{number}"] = page(number)
            url = f"{server.url}/site{number}"
            subjects.append(Subject(site=f"site{number}", url=url, rules=rules, allow_private=True))
        ours(subjects[:2], 2)  # the files of the browser are in the cache for whoever comes first, too
        load = os.getloadavg()[0]
        together = measured(lambda: ours(subjects, arguments.at_once))
        single = measured(lambda: ours(subjects, 1))
        apart = measured(lambda: one_per_site(subjects, program))
    print(f"{arguments.sites} sites, load before {load:.1f}")
    print(together.line(f"one browser, {arguments.at_once} pages at a time"))
    print(single.line("one browser, a page at a time"))
    print(apart.line("a browser per site"))
    print(
        json.dumps(
            {
                "sites": arguments.sites,
                "pictures_per_minute": round(together.per_minute, 1),
                "peak_mib": round(together.peak_bytes / 2**20),
                "one_at_a_time_per_minute": round(single.per_minute, 1),
                "one_at_a_time_peak_mib": round(single.peak_bytes / 2**20),
                "browser_per_site_per_minute": round(apart.per_minute, 1),
                "browser_per_site_peak_mib": round(apart.peak_bytes / 2**20),
                "ratio": round(together.per_minute / apart.per_minute, 2),
                "load_before": round(load, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
