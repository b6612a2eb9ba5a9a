"""Whose picture is taken, in which order, what is comparable; what a browser's errors and rules mean."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Error as BrowserError
from pydantic import ValidationError

from aegis_lib.adapters.browser import chromium, problems
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.pictures import messages, policy
from aegis_lib.pictures.model import Picture, PictureRules, Region, SiteHistory, Subject, Viewport
from aegis_lib.settings import BrowserSettings
from aegis_lib.sites.model import Site
from tests.architecture.source import ROOT

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SUBJECT = Subject(site="shop", url="https://shop.example/")


def site(name: str = "shop", **values: object) -> Site:
    return Site.model_validate({"name": name, "url": f"https://{name}.example/", "picture": {}, **values})


def test_pictures_are_taken_of_those_who_ask_for_them() -> None:
    window = MaintenanceWindow(start="11:00", end="13:00")
    found = policy.subjects(
        [
            site("plain"),
            site("inner", allow_private_addresses=True, verify_certificate=False),
            site("off", picture={"enabled": False}),
            site("none", picture=None),
            site("closed", maintenance=(window,)),
        ],
        NOW,
    )
    assert [(one.site, one.allow_private, one.verify_tls) for one in found] == [
        ("plain", False, True),
        ("inner", True, False),
    ]


def test_new_sites_come_first_then_those_that_waited_longest() -> None:
    subjects = [SUBJECT.model_copy(update={"site": name}) for name in "abcd"]
    histories = {
        name: SiteHistory(last_at=NOW - timedelta(hours=hours))
        for name, hours in (("a", 1), ("b", 9), ("d", 3))
    }
    assert [one.site for one in policy.in_turn(subjects, histories)] == ["c", "b", "d", "a"]


def test_only_what_decides_the_look_is_part_of_the_conditions() -> None:
    same = policy.conditions(SUBJECT, "chromium 1")

    def under(browser: str = "chromium 1", url: str = SUBJECT.url, **rules: object) -> str:
        given = PictureRules.model_validate(rules)
        return policy.conditions(SUBJECT.model_copy(update={"rules": given, "url": url}), browser)

    region = {"x": 0, "y": 0, "width": 1, "height": 1}
    assert under(threshold=0.5, confirm=False, timeout_seconds=9, ignore_regions=[region]) == same
    others = [
        under("chromium 2"), under(url="https://shop.example/x"), under(viewport={"width": 400}),
        under(full_page=False), under(hide_selectors=["a"]), under(color_scheme="dark"),
        under(max_height=900), under(wait_for="b"), under(settle_ms=1),
    ]  # fmt: skip
    assert len({same, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    "rules",
    [
        {"hide_selectors": ["a } body { background: url(http://x) "]},
        {"hide_selectors": [""]},
        {"wait_for": "a\nb"},
        {"timeout_seconds": 4, "settle_ms": 5000},
        {"viewport": {"width": 99_999}},
        {"max_height": 1_000_000},
        {"threshold": -1},
        {"ignore_regions": [{"x": 0, "y": 0, "width": 0, "height": 1}]},
        {"unknown": 1},
    ],
)
def test_rules_that_cannot_work_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PictureRules.model_validate(rules)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "chrome://crash", "ftp://x/"])
def test_only_web_addresses_are_opened(url: str) -> None:
    with pytest.raises(ValidationError):
        Subject(site="x", url=url)


def test_whoever_only_loads_the_job_does_not_load_a_browsers_library() -> None:
    tree = ast.parse((ROOT / "flows/site_screenshots.py").read_text())
    loaded = " ".join(
        ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    )
    assert "picture_files" in loaded
    assert "browser" not in loaded
    assert "picture_diff" not in loaded


def test_a_viewport_reads_as_people_write_it() -> None:
    assert str(Viewport()) == "1280x800"


def test_messages_escape_what_strangers_wrote_and_never_say_nothing_changed() -> None:
    picture = Picture(
        id=7, site="shop", taken_at=NOW, viewport="1280x800", conditions="c",
        problem="the browser says [click](http://evil.example)",
    )  # fmt: skip
    assert "[click](" not in messages.failing(picture).body
    assert messages.share(0.00001) == "less than 0.1%"
    assert messages.share(0) == "0.0%"
    many = tuple(Region(x=n, y=n, width=1, height=1) for n in range(5))
    assert messages.places(many).endswith("; and 2 more")


@pytest.mark.parametrize(
    ("error", "gate", "words"),
    [
        (
            "Page.goto: net::ERR_CERT_DATE_INVALID at https://x/\nCall log:",
            None,
            "has expired or is not valid",
        ),
        (
            "Page.goto: net::ERR_SOCKS_CONNECTION_FAILED at x",
            "a.example port 80: refused",
            "a.example port 80",
        ),
        ("Page.goto: net::ERR_SOCKS_CONNECTION_FAILED at x", None, "no connection (ERR_SOCKS"),
        ("Page.goto: net::ERR_SOMETHING_NEW at x", None, "the browser says ERR_SOMETHING_NEW"),
        ("Page.goto: Download is starting\nCall log:", None, "the address is a download"),
        ("Page.screenshot: Target crashed", None, "the page crashed"),
        ("Page.evaluate: " + "x" * 5000, None, "xxx"),
        ("", None, "does not say why"),
    ],
)
def test_errors_of_a_browser_are_put_into_words(error: str, gate: str | None, words: str) -> None:
    said = problems.in_words(error, gate)
    assert words in said
    assert len(said) <= 250


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert chromium.shown("wss://user:pass@x.example:3000/token?key=1") == "wss://x.example:3000"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("WebSocket error: connect ECONNREFUSED 127.0.0.1:1", DependencyUnavailable, "(ECONNREFUSED)"),
        ("connect_over_cdp: Timeout 30000ms exceeded.", DependencyUnavailable, "Timeout 30000ms"),
        ("WebSocket error: ws://x/token 400 Bad Request", Misconfigured, "not as a browser"),
        ("Unexpected token '<', is not valid JSON", Misconfigured, "not as a browser"),
        ("Playwright version mismatch: server 1.40 client 1.65", Misconfigured, "another version"),
    ],
)
def test_what_a_browser_elsewhere_says_is_worth_a_retry_or_not(
    said: str, kind: type[Exception], words: str
) -> None:
    refusal = chromium._refusal("ws://x:3000/token", said)
    assert type(refusal) is kind
    assert words in str(refusal)
    assert "token" not in str(refusal).replace("Unexpected token", "")


def test_why_a_browser_does_not_start_is_its_own_line() -> None:
    error = BrowserError(
        "BrowserType.launch: closed\n[pid=9][err] /usr/lib/x: error while loading libnss3\nmore"
    )
    assert chromium._why(error) == "/usr/lib/x: error while loading libnss3"
    assert "user namespaces" in chromium._mend(BrowserError("No usable sandbox!"))


def test_the_program_that_is_named_is_taken(tmp_path: Path) -> None:
    program = tmp_path / "my-chromium"
    program.write_text("")
    program.chmod(0o755)
    assert chromium.program(BrowserSettings(chromium=program), "") == str(program)
    with pytest.raises(Misconfigured, match="AEGIS_CHROMIUM"):
        chromium.program(BrowserSettings(chromium=tmp_path), "")
