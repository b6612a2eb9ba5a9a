"""Decisions about pictures: whose is taken, what is a change, what people are told. It opens nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from aegis_lib.pictures.model import (
    Comparison,
    Picture,
    PictureRules,
    Region,
    Says,
    SiteHistory,
    Subject,
)
from aegis_lib.sites.model import Site

_MOST_TILES = 60_000
_COMPARING_ONLY = {"enabled", "threshold", "confirm", "timeout_seconds", "ignore_regions"}


def subjects(sites: Iterable[Site], now: datetime) -> list[Subject]:
    """The pages of which pictures are wanted, without those of sites that are in maintenance."""
    return [
        Subject(
            site=site.name,
            url=site.url,
            rules=site.picture,
            allow_private=site.allow_private_addresses,
            verify_tls=site.verify_certificate,
        )
        for site in sites
        if site.url is not None and site.picture is not None and site.picture.enabled
        if not any(window.contains(now) for window in site.maintenance)
    ]


def conditions(subject: Subject, browser: str) -> str:
    """A digest of all that decides how a page looks: only pictures of the same are compared.

    Another version of the browser draws letters otherwise, and every site would seem to have changed.
    """
    rules = subject.rules.model_dump(mode="json", exclude=_COMPARING_ONLY)
    text = json.dumps([subject.url, browser, rules], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def comparable(history: SiteHistory, now_under: str) -> Picture | None:
    """The reference, if it was taken under the same conditions."""
    reference = history.reference
    return reference if reference is not None and reference.conditions == now_under else None


def in_turn(subjects: Sequence[Subject], histories: Mapping[str, SiteHistory]) -> list[Subject]:
    """The order of a run: sites without a picture first, then those whose last one is oldest."""

    def waited(subject: Subject) -> tuple[bool, float]:
        last = histories.get(subject.site, SiteHistory()).last_at
        return (last is not None, last.timestamp() if last is not None else 0)

    return sorted(subjects, key=waited)


def is_change(comparison: Comparison, rules: PictureRules) -> bool:
    """Whether it is more than the rules let pass."""
    return comparison.changed_ratio > rules.threshold


def says_of_failure(history: SiteHistory, failures_before_told: int) -> Says | None:
    """Whether this failure is the one that is told: once in a row of them."""
    if history.told_failing or history.failures + 1 < failures_before_told:
        return None
    return Says.FAILING


def says_of_success(history: SiteHistory, *, changed: bool) -> Says | None:
    """What a picture that could be taken is told for."""
    if history.told_failing:
        return Says.RECOVERED
    return Says.CHANGED if changed else None


def regions(tiles: Iterable[tuple[int, int]], tile: int, width: int, height: int) -> tuple[Region, ...]:
    """Rectangles around neighbouring tiles `(across, down)` of `tile` pixels, the largest first.

    Tiles count as neighbours with at most one tile between them. Where there are too many to look at one by
    one, one rectangle is around all.
    """
    left = set(tiles)
    if len(left) > _MOST_TILES:
        return (_around(left, tile, width, height),)
    found = []
    while left:
        first = left.pop()
        group, edge = {first}, [first]
        while edge:
            across, down = edge.pop()
            near = {(across + x, down + y) for x in range(-2, 3) for y in range(-2, 3)} & left
            left -= near
            group |= near
            edge.extend(near)
        found.append(_around(group, tile, width, height))
    found.sort(key=lambda one: (-one.width * one.height, one.y, one.x))
    return tuple(found)


def _around(tiles: set[tuple[int, int]], tile: int, width: int, height: int) -> Region:
    left, top = min(x for x, _ in tiles) * tile, min(y for _, y in tiles) * tile
    right = min(width, (max(x for x, _ in tiles) + 1) * tile)
    bottom = min(height, (max(y for _, y in tiles) + 1) * tile)
    return Region(x=left, y=top, width=right - left, height=bottom - top)
