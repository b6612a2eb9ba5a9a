"""Real Chromium on pages as strangers make them: a picture, or words that say why there is none."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from aegis_lib.adapters.browser import camera as cameras
from aegis_lib.adapters.browser import gates
from aegis_lib.adapters.browser.camera import BrowserCamera
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.pictures.model import PictureRules, Shot, Subject, Viewport
from aegis_lib.settings import BrowserSettings
from tests import chromium
from tests.fake_services import pages as strangers
from tests.fake_services.pages import Pages
from tests.stack_process import free_port
from tests.waiting import wait_until

SMALL = Viewport(width=400, height=300)


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with strangers.serving() as server:
        yield server


@pytest.fixture(scope="module")
def camera() -> Iterator[BrowserCamera]:
    chromium.required()
    with cameras.connect(BrowserSettings(), at_once=2) as opened:
        yield opened


def subject(pages: Pages, path: str, *, allow_private: bool = True, **rules: object) -> Subject:
    given = {"viewport": SMALL, "settle_ms": 0, "timeout_seconds": 20, "full_page": False, **rules}
    return Subject(
        site=path.strip("/"),
        url=pages.url + path,
        allow_private=allow_private,
        rules=PictureRules.model_validate(given),
    )


def one(camera: BrowserCamera, wanted: Subject) -> Shot:
    (shot,) = camera.pictures([wanted])
    return shot


def test_a_page_is_pictured_alike_each_time(camera: BrowserCamera, pages: Pages) -> None:
    wanted = [subject(pages, "/quiet"), subject(pages, "/animated"), subject(pages, "/quiet")]
    first, again, moving = sorted(camera.pictures(wanted), key=lambda shot: shot.subject.site, reverse=True)
    assert (first.problem, first.http_status, again.image == first.image) == (None, 200, True)
    assert chromium.opened(first.image).size == (400, 300)
    assert first.browser.startswith("chromium ")
    assert one(camera, wanted[1]).image == moving.image
    assert camera.browsers == 1


def test_a_full_page_ends_where_it_is_told_to(camera: BrowserCamera, pages: Pages) -> None:
    wanted = [
        subject(pages, path, full_page=True, max_height=2000)
        for path in ("/tall", "/wide", "/growing", "/lazy")
    ]
    sizes = {shot.subject.site: chromium.opened(shot.image).size for shot in camera.pictures(wanted)}
    assert sizes.pop("growing")[0] == 400
    assert sizes == {"tall": (400, 2000), "wide": (400, 300), "lazy": (400, 2000)}


def test_lazy_images_are_loaded_for_a_full_page(camera: BrowserCamera, pages: Pages) -> None:
    pages.asked.clear()
    one(camera, subject(pages, "/lazy", full_page=True, max_height=12_000))
    assert "/dot.svg" in pages.asked


def test_what_is_not_wanted_is_taken_out(camera: BrowserCamera, pages: Pages) -> None:
    quiet = one(camera, subject(pages, "/quiet", full_page=True))
    hidden = one(camera, subject(pages, "/banner", full_page=True, hide_selectors=("#banner", ".not-there")))
    assert hidden.image == quiet.image


def test_what_comes_late_is_waited_for(camera: BrowserCamera, pages: Pages) -> None:
    early = one(camera, subject(pages, "/late"))
    late = one(camera, subject(pages, "/late", wait_for="#late"))
    assert early.image != late.image
    dark = one(camera, subject(pages, "/dark", color_scheme="dark"))
    assert chromium.opened(dark.image).getpixel((5, 5)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("path", "rules", "words"),
    [
        ("/quiet", {"wait_for": "#never", "timeout_seconds": 2}, "waiting for #never took longer than 2 s"),
        ("/quiet", {"wait_for": "..bad("}, "picture.wait_for: '..bad(' is no CSS selector"),
        ("/quiet", {"hide_selectors": ["[["]}, "picture.hide_selectors: '[[' is no CSS selector"),
        ("/forever", {"timeout_seconds": 2}, "loading took longer than 2 s"),
        ("/down", {}, "HTTP 503"),
        ("/missing", {}, "it answered with an error and no page"),
        ("/download", {}, "the address is a download, not a page"),
        ("/again", {}, "it redirects without end"),
        ("/reset", {}, "it closed the connection without an answer"),
    ],
)
def test_why_there_is_no_good_picture_is_said(
    camera: BrowserCamera, pages: Pages, path: str, rules: dict[str, object], words: str
) -> None:
    shot = one(camera, subject(pages, path, **rules))
    assert words in (shot.problem or "")
    assert bool(shot.image) == (path == "/down")


def test_a_name_that_nobody_has_and_a_port_where_nobody_is(camera: BrowserCamera) -> None:
    for url, words in (
        ("http://nobody.invalid/", "the name nobody.invalid has no address"),
        (f"http://127.0.0.1:{free_port()}/", "connection refused"),
    ):
        shot = one(camera, Subject(site="x", url=url, allow_private=True))
        assert words in (shot.problem or "").lower()


def test_a_page_that_hangs_costs_only_itself(camera: BrowserCamera, pages: Pages) -> None:
    wanted = [
        subject(pages, "/busy-loop", timeout_seconds=2),
        subject(pages, "/late-loop", timeout_seconds=2, settle_ms=300),
        *(subject(pages, "/quiet") for _ in range(3)),
        subject(pages, "/dialogs"),
        subject(pages, "/popups"),
    ]
    began = time.monotonic()
    shots = list(camera.pictures(wanted))
    assert {shot.subject.site for shot in shots if shot.problem} == {"busy-loop", "late-loop"}
    assert all("took longer than 2 s" in shot.problem for shot in shots if shot.problem)
    assert len(shots) == 7
    assert time.monotonic() - began < 30
    assert camera.browsers == 1


def test_a_page_gets_nothing_of_this_machine(camera: BrowserCamera, pages: Pages) -> None:
    pages.asked.clear()
    wanted = [subject(pages, path, settle_ms=500) for path in ("/curious", "/files", "/worker")]
    assert [shot.problem for shot in camera.pictures(wanted)] == [None] * 3
    assert {"/not-told", "/rtc-undefined"} <= set(pages.asked)
    assert {"/told", "/rtc-function", "/worker.js"}.isdisjoint(pages.asked)
    empty = one(camera, subject(pages, "/gone-to-file", settle_ms=300))
    assert len(chromium.opened(empty.image).getcolors() or []) == 1, "nothing of the file is to be seen"


def test_inner_addresses_are_refused_unless_the_site_may(camera: BrowserCamera, pages: Pages) -> None:
    pages.asked.clear()
    shot = one(camera, subject(pages, "/quiet", allow_private=False))
    assert shot.problem == (
        "127.0.0.1 is an address of this machine itself, which the site's entry does not allow"
    )
    assert pages.asked == []


def test_a_public_page_cannot_lead_to_an_inner_address(
    camera: BrowserCamera, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here 127.0.0.1 counts as the Internet, and everything else is an inner network.
    monkeypatch.setattr(gates, "inner", lambda address: None if address == "127.0.0.1" else "private")
    with strangers.serving("127.0.0.2") as inside:
        pages.elsewhere = f"{inside.url}/quiet"
        here = inside.url
        sockets = here.replace("http", "ws")
        pages.pages["/spy"] = (
            f"{strangers.QUIET}<iframe src='{here}/frame'></iframe><img src='{here}/image'>"
            f"<link rel=stylesheet href='{here}/style'><link rel=preconnect href='{here}'>"
            f"<script>fetch('{here}/fetch'); new WebSocket('{sockets}/socket');"
            f"navigator.sendBeacon('{here}/beacon'); new EventSource('{here}/events');"
            f"const w = new Worker(URL.createObjectURL(new Blob([\"fetch('{here}/worker')\"])));"
            f"location.hash = 'x'</script>"
        )
        redirected = one(camera, subject(pages, "/elsewhere", allow_private=False))
        spy = one(camera, subject(pages, "/spy", allow_private=False, settle_ms=700))
        assert "127.0.0.2 is private" in (redirected.problem or "")
        assert spy.problem is None
        assert inside.asked == []
        assert one(camera, subject(pages, "/elsewhere")).problem is None
        assert inside.asked[0] == "/quiet"


def test_a_name_is_judged_by_where_it_leads(
    camera: BrowserCamera, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.asked.clear()
    wanted = subject(pages, "/quiet", allow_private=False)
    wanted = wanted.model_copy(update={"url": wanted.url.replace("127.0.0.1", "localhost")})
    assert "localhost (" in (one(camera, wanted).problem or "")
    assert pages.asked == []


def test_a_page_may_not_load_without_end(
    camera: BrowserCamera, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates.Gate.__init__, "__kwdefaults__", {"most_bytes": 3 << 20})
    pages.pages["/heavy"] = f"{strangers.QUIET}<img src='/flood'>"
    shot = one(camera, subject(pages, "/heavy", timeout_seconds=10))
    assert shot.seconds < 10
    assert shot.problem is None, "an image that broke off is not the page's end"


def test_nobody_else_gets_through_a_gate() -> None:
    import asyncio

    async def knock() -> tuple[bytes, str | None]:
        gate = gates.Gate(allow_private=True, peers={"127.0.0.9"})
        await gate.open("127.0.0.1")
        host, port = gate.address.removeprefix("socks5://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x05\x01\x00")
        try:
            answer = await reader.read(2)
        except ConnectionResetError:
            answer = b""
        writer.close()
        await gate.close()
        return answer, gate.problem

    answer, problem = asyncio.run(knock())
    assert answer == b""
    assert "127.0.0.1" in (problem or "")


def test_a_greedy_page_is_ended(pages: Pages) -> None:
    chromium.required()
    with cameras.connect(BrowserSettings(), at_once=1) as opened:
        opened._page_bytes = 400 << 20
        wanted = [subject(pages, "/greedy", settle_ms=9000), subject(pages, "/quiet")]
        greedy, quiet = opened.pictures(wanted)
        assert greedy.problem == "the page crashed"
        assert (quiet.problem, opened.browsers) == (None, 1)


def test_when_the_browser_is_killed_its_pages_are_taken_by_a_new_one_and_nothing_is_left(
    pages: Pages,
) -> None:
    chromium.required()
    before = {process.pid for process in chromium.running()}
    homes = set(Path(tempfile.gettempdir()).glob("aegis-browser-*"))
    with cameras.connect(BrowserSettings(), at_once=2) as opened:
        wanted = [
            subject(pages, "/late", wait_for="#late", settle_ms=800),
            subject(pages, "/quiet"),
            subject(pages, "/quiet"),
        ]
        shots = opened.pictures(wanted)
        seen = [next(shots)]
        for process in chromium.running():
            if process.pid not in before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        seen += list(shots)
        assert [shot.problem for shot in seen] == [None] * 3
        assert opened.browsers == 2
        unfinished = opened.pictures([subject(pages, "/quiet"), subject(pages, "/forever")])
        next(unfinished)
        assert {process.pid for process in chromium.running()} - before
        del unfinished
    wait_until(
        lambda: not {process.pid for process in chromium.running()} - before,
        description="the browser to be gone",
    )
    assert set(Path(tempfile.gettempdir()).glob("aegis-browser-*")) == homes


def test_a_camera_that_is_killed_takes_its_browser_along(pages: Pages) -> None:
    chromium.required()
    script = (
        "import sys; from aegis_lib.adapters.browser import camera;"
        "from aegis_lib.pictures.model import *; from aegis_lib.settings import BrowserSettings\n"
        "with camera.connect(BrowserSettings()) as opened:\n"
        f"    for url in ('{pages.url}/quiet', '{pages.url}/forever'):\n"
        "        list(opened.pictures([Subject(site='x', url=url, allow_private=True)]))\n"
        "        print(1, flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    family = psutil.Process(child.pid).children(recursive=True)
    assert family
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wait_until(
        lambda: not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE],
        description="the browser of a killed process to be gone",
    )


# --- which browser ---


def test_without_any_browser_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with cameras.connect(BrowserSettings()) as opened, pytest.raises(NotConfigured) as found:
        one(opened, Subject(site="x", url="http://x.example/"))
    assert "PLAYWRIGHT_URL" in str(found.value)
    assert "apt-get install chromium" in str(found.value)


def test_a_program_that_is_no_browser_is_named(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'libnss3.so: cannot open shared object file' >&2; exit 127\n")
    program.chmod(0o755)
    with (
        cameras.connect(BrowserSettings(chromium=program)) as opened,
        pytest.raises(DependencyUnavailable, match=r"does not start: libnss3.so"),
    ):
        one(opened, Subject(site="x", url="http://x.example/"))


def test_a_browser_elsewhere_that_is_not_there_is_worth_a_retry() -> None:
    url = f"ws://127.0.0.1:{free_port()}/secret-path"
    with cameras.connect(BrowserSettings(url=url)) as opened, pytest.raises(DependencyUnavailable) as found:
        one(opened, Subject(site="x", url="http://x.example/"))
    assert "does not answer" in str(found.value)
    assert "secret-path" not in str(found.value)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_what_is_no_browser_is_not_tried_again(pages: Pages, scheme: str) -> None:
    url = pages.url.replace("http", scheme) + "/quiet?token=hush"
    with cameras.connect(BrowserSettings(url=url)) as opened, pytest.raises(Misconfigured) as found:
        one(opened, Subject(site="x", url="http://x.example/"))
    assert "not as a browser" in str(found.value)
    assert "hush" not in str(found.value)


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["playwright", "cdp"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A browser of another process: Playwright's server as in docker-compose, or Chromium's own port."""
    program, port = chromium.required(), free_port()
    if request.param == "playwright":
        given = json.loads((Path(__file__).parents[2] / "compose/browser.json").read_text())
        settings = {**given, "executablePath": program, "host": "127.0.0.1", "port": port}
        (tmp_path / "browser.json").write_text(json.dumps(settings))
        words = ["-m", "playwright", "launch-server", "--browser", "chromium", "--config", "browser.json"]
        command, url = [sys.executable, *words], f"ws://127.0.0.1:{port}/{given['wsPath']}"
    else:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
        command = [program, *flags, f"--remote-debugging-port={port}", f"--user-data-dir={tmp_path}/profile"]
        url = f"http://127.0.0.1:{port}"
    child = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    family = [psutil.Process(child.pid)]
    try:
        wait_until(lambda: listens(port), description="the browser to listen")
        yield url
    finally:
        family += family[0].children(recursive=True)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()


def test_a_browser_elsewhere_takes_pictures_by_the_same_rules(elsewhere: str, pages: Pages) -> None:
    with cameras.connect(BrowserSettings(url=elsewhere), at_once=2) as opened:
        pages.asked.clear()
        wanted = [subject(pages, "/quiet"), subject(pages, "/busy-loop", timeout_seconds=2)]
        shots = {shot.subject.site: shot for shot in opened.pictures(wanted)}
        assert chromium.opened(shots["quiet"].image).size == (400, 300)
        assert "took longer" in (shots["busy-loop"].problem or "")
        refused = one(opened, subject(pages, "/animated", allow_private=False))
        assert "does not allow" in (refused.problem or "")
        assert "/animated" not in pages.asked
        assert opened.browsers == 1


def test_a_browser_that_does_not_reach_this_machine_is_said(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    chromium.required()
    monkeypatch.setattr(gates.Gate, "address", property(lambda self: f"socks5://127.0.0.1:{free_port()}"))
    with (
        cameras.connect(BrowserSettings()) as opened,
        pytest.raises(DependencyUnavailable, match="does not reach this machine"),
    ):
        one(opened, subject(pages, "/quiet"))
