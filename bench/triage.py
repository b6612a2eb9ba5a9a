"""How well and how fast mail is sorted.

    python bench/triage.py [--messages 10000]             speed: mails per second against a Dovecot
    python bench/triage.py --generated [--count 560]      the made-up mailbox of the tests
    python bench/triage.py --corpus FOLDER [--limit N]    mail that you bring, labelled

FOLDER is a TREC spam corpus (`full/index`), or has one Maildir, mbox file or folder of single files for each
label: categories, or names with `ham` and `spam` in them such as SpamAssassin's `easy_ham` and `spam_2`.
Every mail is decided before it is taught, the oldest first; tests/mail_quality.py explains the figures.
Corpora of ham and spam say nothing of the other categories and name no trusted server: rules that need one
are silent.

Prints a table and, as the last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.mail.model import RulesConfig
from tests import mail_corpus, mail_quality
from tests.mail_quality import Labelled, Quality


def generated(count: int) -> Iterator[Labelled]:
    for letter in mail_corpus.generate(count):
        found = mail_quality.labelled(letter.raw, letter.category.value, letter.received_at)
        yield Labelled(found.mail.model_copy(update={"is_answer": bool(letter.answers)}), found.label)


def tell(name: str, quality: Quality) -> dict[str, Any]:
    """Print a table; the same figures for the last line."""
    print(f"\n{name}: {quality.mails} mails, "
          + ", ".join(f"{number} by {by}" for by, number in quality.by.most_common()))  # fmt: skip
    print(f"{'':18}{'mails':>8}{'precision':>11}{'recall':>9}")
    shares: dict[str, Any] = {}
    for label in quality.labels():
        number = sum(count for (true, _), count in quality.given.items() if true == label)
        precision, recall = quality.precision(label), quality.recall(label)
        print(f"{label:18}{number:>8}{_percent(precision):>11}{_percent(recall):>9}")
        shares[label] = {"precision": _rounded(precision), "recall": _rounded(recall)}
    print(f"decided by rules or classifier: {_percent(quality.alone_share)}, of them right: "
          f"{_percent(quality.alone_right)}; the rest has its best guess")  # fmt: skip
    figures: dict[str, Any] = {
        "mails": quality.mails,
        "categories": shares,
        "decided_alone_share": _rounded(quality.alone_share),
        "decided_alone_right": _rounded(quality.alone_right),
        "decide_ms": round(quality.decide_seconds / quality.mails * 1000, 3),
        "learn_ms": round(quality.learn_seconds / quality.mails * 1000, 3),
        "state_characters": quality.state_characters,
    }
    roca = quality.roca_percent
    if roca is not None:
        lam, hm, sm = quality.lam_percent()
        junk_lam, junk_hm, junk_sm = quality.junk_percent()
        print(f"spam, classifier alone:   1-ROCA {roca:.4f} %  lam {lam:.2f} %  hm {hm:.2f} %  sm {sm:.2f} %")
        print(f"spam, the junk folder:    lam {junk_lam:.2f} %  hm {junk_hm:.3f} %  sm {junk_sm:.2f} %")
        figures |= {
            "spam_1_roca_percent": round(roca, 4),
            "spam_lam_percent": round(lam, 3),
            "spam_hm_percent": round(hm, 3),
            "spam_sm_percent": round(sm, 3),
            "junk_hm_percent": round(junk_hm, 3),
            "junk_sm_percent": round(junk_sm, 3),
        }
    print(f"deciding {figures['decide_ms']} ms, learning {figures['learn_ms']} ms a mail; "
          f"what was learned takes {quality.state_characters / 1000:.0f} kB")  # fmt: skip
    return figures


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--corpus", type=Path, help="a folder of labelled mail")
    arguments.add_argument("--limit", type=int, help="only the first so many mails of the corpus")
    arguments.add_argument("--generated", action="store_true", help="the made-up mailbox of the tests")
    arguments.add_argument("--count", type=int, default=560, help="how many made-up mails")
    arguments.add_argument("--messages", type=int, default=10_000, help="how many mails for the speed")
    given = arguments.parse_args()
    figures: dict[str, Any] = {}
    if not given.corpus and not given.generated:
        from bench import triage_mailbox

        figures |= triage_mailbox.measure(given.messages, sample=500, delay_ms=20)
    if given.generated:
        quality = mail_quality.judge(generated(given.count), mail_corpus.RULES, mail_corpus.KNOWN)
        figures["generated"] = tell("generated", quality)
    if given.corpus:
        quality = mail_quality.judge(mail_quality.read(given.corpus, given.limit), RulesConfig())
        figures["corpus"] = tell(str(given.corpus), quality)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
