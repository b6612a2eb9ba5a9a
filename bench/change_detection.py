"""Measures how well changes of pages are told from noise, beside simpler ways of looking at the same pages.

    python bench/change_detection.py [--pages 30] [--json] [--misses]

Made-up pages of eight kinds (`tests/changing_pages.py`) are read twice. Between the visits every page gets
other times, tokens, counters, advertisements, class names, order of lists: all the noise it has, one kind
of it, or some. On half of the pairs somebody also changed one thing: a price, the stock, a word, a title.
Precision is the share of true changes among those told, recall the share told of those that were made.
Peers: a checksum of the bytes; a comparison of the page's visible text; that of its main text as
trafilatura finds it, where that is installed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lxml import etree, html

from aegis_lib.changes.model import ContentRules
from aegis_lib.changes.policy import compare, read
from tests import changing_pages

RULES = ContentRules(watch=True)
Way = Callable[[bytes, bytes], bool]


def pairs(pages: int) -> Iterator[tuple[str, bytes, bytes, bool]]:
    """What was done, the page before and after, and whether somebody changed it."""
    for kind in changing_pages.KINDS:
        for seed in range(pages):
            chance = random.Random(f"{kind}{seed}pairs")
            page = changing_pages.make(kind, seed)
            choices = [
                changing_pages.NOISE,
                chance.sample(changing_pages.NOISE, 6),
                *((one,) for one in chance.sample(changing_pages.NOISE, 6)),
            ]
            for noise in choices:
                noisy = page.with_noise(*noise)
                yield (
                    f"{'+'.join(noise) if len(noise) < 2 else 'much'} noise",
                    _bytes(noisy, 1),
                    _bytes(noisy, 2),
                    False,
                )
            possible = [name for name in changing_pages.SIGNALS if page.with_signal(name)]
            for name in chance.sample(possible, min(len(possible), len(choices))):
                noisy = page.with_noise(*chance.choice(choices))
                changed = noisy.with_signal(name)
                assert changed is not None
                yield name, _bytes(noisy, 1), _bytes(changed, 2), True


def _bytes(page: changing_pages.Page, visit: int) -> bytes:
    return page.html(visit).encode()


def by_checksum(before: bytes, after: bytes) -> bool:
    return sha256(before).digest() != sha256(after).digest()


def by_text(before: bytes, after: bytes) -> bool:
    return _visible(before) != _visible(after)


def _visible(body: bytes) -> list[str]:
    tree = html.fromstring(body)
    etree.strip_elements(tree, "script", "style", etree.Comment, with_tail=False)
    return [" ".join(line.split()) for line in tree.text_content().splitlines() if line.strip()]


def by_trafilatura(before: bytes, after: bytes) -> bool:
    import trafilatura

    return bool(trafilatura.extract(before) != trafilatura.extract(after))


def ours(before: bytes, after: bytes) -> bool:
    return compare(read(before, "text/html", RULES), read(after, "text/html", RULES), RULES) is not None


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--pages", type=int, default=30, help="pages of each kind")
    arguments.add_argument("--misses", action="store_true", help="say what ours got wrong")
    arguments.add_argument("--json", action="store_true", help="print only the line of JSON")
    options = arguments.parse_args()
    ways: dict[str, Way] = {"checksum": by_checksum, "visible_text": by_text, "ours": ours}
    if find_spec("trafilatura"):
        ways["trafilatura"] = by_trafilatura
    made = list(pairs(options.pages))
    figures = {}
    for name, way in ways.items():
        began = time.perf_counter()
        told = [way(before, after) for _, before, after, _ in made]
        seconds = time.perf_counter() - began
        hits = sum(said and changed for said, (_, _, _, changed) in zip(told, made, strict=True))
        figures[name] = {
            "precision": round(hits / max(sum(told), 1), 4),
            "recall": round(hits / sum(changed for *_, changed in made), 4),
            "milliseconds_per_page": round(seconds / len(made) / 2 * 1000, 2),
        }
        if name == "ours" and options.misses:
            wrong = Counter(
                what for said, (what, _, _, changed) in zip(told, made, strict=True) if said != changed
            )
            print(*(f"{count:5}  {what}" for what, count in wrong.most_common()), sep="\n")
    if not options.json:
        print(f"{len(made)} pairs of pages; on {sum(changed for *_, changed in made)} something was changed")
        for name, found in figures.items():
            print(f"{name:14} precision {found['precision']:.3f}  recall {found['recall']:.3f}  "
                  f"{found['milliseconds_per_page']:.2f} ms a page")  # fmt: skip
    mine = figures.pop("ours")
    print(json.dumps({**mine, "pairs": len(made), "peers": figures}))


if __name__ == "__main__":
    main()
