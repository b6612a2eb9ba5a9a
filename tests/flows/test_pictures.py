"""The job of pictures as Prefect runs it, and the command that shows them: real Chromium, real PostgreSQL."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from deployments.cli import app
from tests import chromium
from tests import postgres as servers
from tests.fake_services import pages as strangers
from tests.fake_services.pages import Pages

pytestmark = pytest.mark.usefixtures("prefect_server")

CONFIG = """
sites:
  sites:
    - name: shop
      url: {url}/shop
      allow_private_addresses: true
      picture: &small
        viewport: {{width: 400, height: 300}}
        settle_ms: 0
        timeout_seconds: 20
    - name: clock
      url: {url}/moving
      allow_private_addresses: true
      picture: *small
    - name: inner
      url: {url}/quiet
      picture: *small
    - name: unseen
      url: {url}/quiet
"""


@pytest.fixture
def pages() -> Iterator[Pages]:
    chromium.required()
    with strangers.serving() as server:
        server.pages["/shop"] = strangers.QUIET
        yield server


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> Path:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text(CONFIG.format(url=pages.url))
    return tmp_path


def run(**parameters: Any) -> Any:
    from flows.site_screenshots import site_screenshots

    return site_screenshots.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def aegis(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = app.run(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_without_a_site_that_wants_pictures_the_job_says_so(installation: Path) -> None:
    (installation / "aegis.yaml").write_text("sites: {sites: [{name: a, url: 'http://a.example/'}]}\n")
    state = run()
    assert (state.name, "`picture` of a site" in state.message) == ("NotConfigured", True)


def test_a_page_that_changed_is_marked_kept_and_told_once(
    installation: Path, pages: Pages, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run()
    assert (first.name, first.message) == ("Degraded", "2 pictures taken; not to be had: inner.")
    price = "<p style='font-size:60px'>Now 9.99</p>"
    pages.pages["/shop"] = strangers.QUIET + price
    second = run()
    assert "3 pictures" not in second.message
    assert second.message == "2 pictures taken; looking different: shop; not to be had: inner."
    third = run(only="shop")
    assert (third.name, third.message) == ("Completed", "1 picture taken.")

    alerts = [alert.title for alert in database.alerts.to_decide(first.timestamp)]
    assert sorted(alerts) == ["No picture of inner", "shop looks different"]
    events = database.memory.recall_recent(event_type="site_picture")
    assert sorted(event.summary.split(":")[0] for event in events) == [
        "No picture can be had of inner",
        "shop looks different",
    ]

    code, out, _ = aegis(capsys, "pictures", "list", "--changed", "--json")
    (changed,) = json.loads(out)
    assert (code, changed["site"], changed["is_reference"]) == (0, "shop", True)
    where = changed["regions"][0]
    marked = Image.open(changed["marked"]).convert("RGB")
    red = [
        (x, y)
        for x in range(where["x"], where["x"] + where["width"])
        for y in range(where["y"], where["y"] + where["height"])
        if (colour := marked.getpixel((x, y)))[0] > colour[1] + 80
    ]
    assert len(red) > 100, "the price is marked in red"
    code, out, err = aegis(capsys, "pictures", "show", "shop")
    assert (code, changed["file"] in out, f"aegis pictures show {changed['id']}" in err) == (0, True, True)
    code, out, _ = aegis(capsys, "pictures", "show", str(changed["id"]))
    assert changed["marked"] in out
    assert "later pictures are compared with this one" in out
    code, out, _ = aegis(capsys, "pictures")
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["clock", "inner", "shop"]
    assert aegis(capsys, "pictures", "show", "nobody")[0] == 4


def test_a_picture_can_be_taken_by_hand(
    installation: Path, pages: Pages, database: Database, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(installation)
    run(only="shop")
    kept = len(database.pictures.newest(10))
    pages.pages["/shop"] = strangers.QUIET + "<p style='font-size:60px'>Now 9.99</p>"
    code, _, err = aegis(capsys, "pictures", "take", "shop", "--marked", "marked.png")
    assert (code, "which would be told" in err, "pixels at" in err) == (0, True, True)
    for name in ("shop.png", "marked.png"):
        assert Image.open(io.BytesIO((installation / name).read_bytes())).size == (400, 300)
    code, _, err = aegis(capsys, "pictures", "take", "inner")
    assert (code, "does not allow" in err) == (1, True)
    assert aegis(capsys, "pictures", "take", "nobody")[0] == 4
    assert aegis(capsys, "pictures", "take", "unseen")[0] == 5
    assert len(database.pictures.newest(10)) == kept, "nothing is kept"
