"""`aegis pictures`: pictures of watched sites, what changed in them, and one taken now. Keeps nothing."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from aegis_lib.errors import Misconfigured
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.adapters.picture_files import PictureFiles
    from aegis_lib.pictures.model import Comparison, Picture, Region, Shot
    from aegis_lib.sites.model import Site

pictures = App(
    name="pictures", group=INSIGHT, help="Show pictures of sites and what changed in them, and take one now."
)
Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))]
STDOUT = Path("-")


@pictures.default
@pictures.command(name="list")
def list_pictures(
    *,
    site: str | None = None,
    changed: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    limit: Limit = 100,
    json: Json = False,
) -> int:
    """List the newest picture of each site, or those of one site, or those that look different.

    Keys of --json, per picture: id, site, taken_at, viewport, width, height,
    bytes, http_status, is_reference, reference_id, changed_ratio, regions,
    problem, says, told_at, conditions, file_digest, thumbnail_digest,
    diff_digest, diff_thumbnail_digest, file, marked.

    For example:
        aegis pictures
        aegis pictures list --changed
        aegis pictures list --site shop -n 10

    Args:
        site: All pictures of this site, the newest first.
        changed: Only pictures that look different from the one before.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.adapters import picture_files
    from aegis_lib.db import database

    now = clock.utcnow()
    latest = site is None and not changed
    with database.connect() as db:
        found = db.pictures.newest(limit, site=site, changed=changed, latest=latest)
    if json:
        files = picture_files.opened()
        screen.as_json([_with_files(one, files) for one in found])
        return OK
    screen.table(
        ("ID", "SITE", "TAKEN (UTC)", "SIZE", "CHANGED", "PROBLEM"),
        [
            (
                str(one.id),
                one.site,
                screen.moment(one.taken_at, now),
                _size(one),
                screen.plain(_changed(one), "bold yellow" if one.diff_digest else ""),
                _plain(one.problem or ""),
            )
            for one in found
        ],
        empty="No picture was taken yet. Give a site a `picture` in aegis.yaml; docs/pictures.md shows how.",
    )
    if found:
        screen.note("More: aegis pictures show SITE   Now: aegis pictures take SITE")
    return OK


@pictures.command
def show(which: str, /, *, json: Json = False) -> int:
    """Show a picture: where its file is, what changed, and the file that marks it.

    Keys of --json: as in `aegis pictures list`.

    For example:
        aegis pictures show shop
        aegis pictures show 4711

    Args:
        which: The name of a site, for its newest picture, or the id of a picture.
        json: Print JSON for programs.
    """
    from aegis_lib.adapters import picture_files
    from aegis_lib.db import database

    now, files = clock.utcnow(), picture_files.opened()
    with database.connect() as db:
        newest = db.pictures.newest(1, site=which)
        found = newest[0] if newest else db.pictures.find(int(which)) if _is_id(which) else None
        if found is None:
            raise NothingSuch(
                f"There is no picture of a site {which!r}, nor one of that id. "
                "Fix: `aegis pictures list` shows them."
            )
        before = db.pictures.find(found.reference_id) if found.reference_id is not None else None
        newer_change = db.pictures.newest(1, site=found.site, changed=True)
    if json:
        screen.as_json(_with_files(found, files))
        return OK
    for what, text in _told(found, before, files, now):
        screen.say(screen.plain(f"{what:<9} {text}"))
    if newer_change and newer_change[0].id != found.id and which == found.site:
        last = newer_change[0]
        screen.note(f"It last looked different at {screen.moment(last.taken_at, now)}: "
                    f"aegis pictures show {last.id}")  # fmt: skip
    return OK


@pictures.command
def take(
    name: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)] = None,
    marked: Path | None = None,
) -> int:
    """Take a picture of a site right now, as the job would. Nothing is kept, nobody is told.

    The exit code is 1 when there is no good picture.

    For example:
        aegis pictures take shop
        aegis pictures take shop -o - > shop.png
        aegis pictures take shop --marked what-changed.png

    Args:
        name: The name of the site in aegis.yaml.
        output: The file to write; - is standard output. Default: NAME.png.
        marked: Compare with the picture that the job compares with, and write one that marks what changed.
    """
    site = _wanted(name)
    shot = _taken(site)
    if shot.problem is not None:
        screen.note(f"{name}: {_plain(shot.problem)}.")
    if not shot.image:
        return FAILED
    _write(output or Path(f"{name}.png"), shot.image)
    screen.note(f"{name}: {len(shot.image):,} bytes in {shot.seconds:.1f} s, by {shot.browser}.")
    if marked is not None:
        compared = _compared(site, shot)
        if compared is None:
            screen.note("There is no picture to compare with; the job's next run takes one.")
        else:
            _say_comparison(compared, site, marked)
    return FAILED if shot.problem is not None else OK


def _wanted(name: str) -> Site:
    from aegis_lib import config

    found = config.load().sites.find(name)
    if found is None:
        raise NothingSuch(f"aegis.yaml has no site named {name!r}. Fix: `aegis sites` lists them.")
    if found.site.url is None or found.site.picture is None:
        raise Misconfigured(
            f"site {name}", "has no pictures.", "give it the key `picture`: docs/pictures.md."
        )
    return found.site


def _taken(site: Site) -> Shot:
    from aegis_lib.adapters.browser import camera
    from aegis_lib.pictures.model import PictureRules, Subject
    from aegis_lib.settings import BrowserSettings

    subject = Subject(
        site=site.name,
        url=site.url or "",
        rules=site.picture or PictureRules(),
        allow_private=site.allow_private_addresses,
        verify_tls=site.verify_certificate,
    )
    with camera.connect(BrowserSettings(), at_once=1) as opened:
        (shot,) = opened.pictures([subject])
    return shot


def _compared(site: Site, shot: Shot) -> Comparison | None:
    from aegis_lib.adapters import picture_files
    from aegis_lib.adapters.picture_diff import Darkroom
    from aegis_lib.db import database

    with database.connect() as db:
        reference = db.pictures.histories([site.name])[site.name].reference
    before = None
    if reference is not None and reference.file_digest is not None:
        before = picture_files.opened().read(reference.file_digest)
    if before is None:
        return None
    return Darkroom().compare(before, shot.image, site.picture.ignore_regions if site.picture else ())


def _say_comparison(compared: Comparison, site: Site, marked: Path) -> None:
    told = site.picture is not None and compared.changed_ratio > site.picture.threshold
    screen.note(f"{compared.changed_ratio:.3%} changed, which {'would' if told else 'would not'} be told.")
    for region in compared.regions:
        screen.note(f"  {_place(region)}")
    if compared.marked:
        _write(marked, compared.marked)


def _write(path: Path, content: bytes) -> None:
    if path == STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Misconfigured(
            str(path), f"cannot be written: {error.strerror}.", "name another file."
        ) from error
    screen.note(f"written: {path}")


def _with_files(picture: Picture, files: PictureFiles) -> dict[str, Any]:
    return {
        **picture.model_dump(mode="json"),
        "file": _file(picture.file_digest, files),
        "marked": _file(picture.diff_digest, files),
    }


def _file(digest: str | None, files: PictureFiles) -> str | None:
    return None if digest is None else str(files.path(digest))


def _told(
    found: Picture, before: Picture | None, files: PictureFiles, now: datetime
) -> list[tuple[str, str]]:
    """A picture as lines: what, and its text."""
    lines = [
        ("picture", f"{found.id} of {found.site}"),
        ("taken", f"{screen.moment(found.taken_at, now)}, window {found.viewport}"),
    ]
    if found.problem is not None:
        lines.append(("problem", _plain(found.problem, 300)))
    if found.file_digest is not None:
        lines += [("size", _size(found)), ("file", str(files.path(found.file_digest)))]
    if found.changed_ratio is not None:
        lines.append(("changed", f"{found.changed_ratio:.3%}"))
    lines += [("" if number else "where", _place(one)) for number, one in enumerate(found.regions)]
    if found.diff_digest is not None:
        lines.append(("marked", str(files.path(found.diff_digest))))
    if before is not None and before.file_digest is not None:
        lines.append(("before", f"{before.id}, {screen.moment(before.taken_at, now)}"))
        lines.append(("", str(files.path(before.file_digest))))
    if found.is_reference:
        lines.append(("", "later pictures are compared with this one"))
    return lines


def _place(region: Region) -> str:
    return f"{region.width} x {region.height} pixels at {region.x}, {region.y}"


def _size(picture: Picture) -> str:
    if picture.width is None or picture.bytes is None:
        return "-"
    return f"{picture.width} x {picture.height}, {picture.bytes / 1024:,.0f} KiB"


def _changed(picture: Picture) -> str:
    if picture.changed_ratio is None:
        return "-" if picture.problem else "first"
    return f"{picture.changed_ratio:.2%}"


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _plain(text: str, longest: int = 160) -> str:
    from aegis_lib.markdown import plain

    return plain(text, longest)
