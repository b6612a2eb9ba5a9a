"""What people read about pictures of websites. Reasons may be of strangers: escaped. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.clock import iso
from aegis_lib.markdown import inline, plain
from aegis_lib.pictures.model import Picture, Region

_LISTED = 20
_PLACES = 3


def share(ratio: float) -> str:
    """A share of the picture (0 to 1) in per cent, never rounded to nothing."""
    return f"{ratio:.1%}" if ratio >= 0.001 or ratio == 0 else "less than 0.1%"


def places(regions: Sequence[Region]) -> str:
    """Where the largest changes are."""
    named = [f"{one.width} x {one.height} pixels at {one.x}, {one.y}" for one in regions[:_PLACES]]
    more = len(regions) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def summary(picture: Picture) -> str:
    """One sentence about a picture of which people are told."""
    if picture.problem is not None:
        return f"No picture can be had of {picture.site}: {plain(picture.problem)}."
    changed = f"{picture.site} looks different: {share(picture.changed_ratio or 0)} of its picture changed"
    if picture.says is not None and picture.says.value == "recovered":
        again = f"There are pictures of {picture.site} again"
        return f"{again}; {changed[len(picture.site) + 1 :]}." if picture.diff_digest else f"{again}."
    return f"{changed}."


def changed(picture: Picture) -> Message:
    """A site looks different."""
    return Message(
        title=plain(f"{picture.site} looks different", 200),
        body="\n\n".join(
            [
                f"{share(picture.changed_ratio or 0)} of the picture of {iso(picture.taken_at)} differ from "
                f"the one before ({picture.viewport}).",
                f"Where: {places(picture.regions)}.",
                f"Both pictures, and one that marks the change: `aegis pictures show {picture.site}`",
            ]
        ),
        severity=Severity.WARNING,
        key=f"picture:changed:{picture.id}",
    )


def many_changed(pictures: Sequence[Picture]) -> Message:
    """Many sites look different at once: perhaps for one reason."""
    lines = [
        f"- {inline(one.site)}: {share(one.changed_ratio or 0)} changed: `aegis pictures show {one.site}`"
        for one in pictures[:_LISTED]
    ]
    if len(pictures) > _LISTED:
        lines.append(f"- … and {len(pictures) - _LISTED} more: `aegis pictures list --changed`")
    return Message(
        title=f"{len(pictures)} sites look different",
        body="\n".join(lines),
        severity=Severity.WARNING,
        key=f"picture:changed:{pictures[0].id}-{pictures[-1].id}",
    )


def failing(picture: Picture) -> Message:
    """No picture of a site can be had, more than once."""
    return Message(
        title=plain(f"No picture of {picture.site}", 200),
        body="\n\n".join(
            [
                f"Why: {inline(picture.problem or 'unknown')}",
                f"Try it: `aegis pictures take {picture.site}`. Its rules stand in aegis.yaml, at the site's "
                "`picture`.",
            ]
        ),
        severity=Severity.WARNING,
        key=f"picture:failing:{picture.id}",
        problem=f"picture:{picture.site}",
    )


def recovered(picture: Picture) -> Message:
    """There are pictures again."""
    body = ""
    if picture.diff_digest is not None:
        body = (
            f"It looks different: {share(picture.changed_ratio or 0)} changed, {places(picture.regions)}. "
            f"See `aegis pictures show {picture.site}`."
        )
    return Message(
        title=plain(f"Pictures of {picture.site} again", 200),
        body=body,
        key=f"picture:recovered:{picture.id}",
        problem=f"picture:{picture.site}",
        phase=Phase.OVER,
    )


def run_sentence(
    *,
    taken: int,
    changed: Sequence[str],
    failed: Sequence[str],
    left: int,
    problems: Sequence[str],
) -> str:
    """One sentence for the run."""
    parts = [f"{taken} picture{'' if taken == 1 else 's'} taken"]
    parts += [f"looking different: {_named(changed)}"] if changed else []
    parts += [f"not to be had: {_named(failed)}"] if failed else []
    parts += [f"{left} left for the next run, for want of time"] if left else []
    parts += [f"not done: {'; '.join(problems[:5])}"] if problems else []
    return "; ".join(parts) + "."


def _named(sites: Sequence[str]) -> str:
    more = len(sites) - 10
    return ", ".join(sites[:10]) + (f" and {more} more" if more > 0 else "")
