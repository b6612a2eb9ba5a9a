"""How fast a mailbox is sorted: rules and classifier only, against a Dovecot and a PostgreSQL of its own.

    python bench/triage_mailbox.py [--messages 10000] [--sample 500] [--delay-ms 20]

The mailbox is filled with made-up mail, and sorted by the job's own code: read, decided on, kept in the
database, marked, moved. The peer does the same work with the same code, one mail at a time, over `--sample`
mails of an equal mailbox. A proxy counts round trips to the mail server, and for the second pair of figures
adds a delay to each, as a server elsewhere has it. Each arm is a process of its own. The last line is JSON.
`bench/triage.py` without a corpus measures this, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib import clock
from aegis_lib.adapters.mailbox import imap
from aegis_lib.db import database as db
from aegis_lib.db import migrate
from aegis_lib.errors import NotConfigured
from aegis_lib.logs import set_level
from aegis_lib.mail import service
from aegis_lib.mail.model import EmailConfig
from aegis_lib.settings import DatabaseSettings, ImapSettings
from tests import dovecot, mail_corpus, tcp_proxy
from tests import postgres as servers
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory


class _NoModel:
    def ask(self, question: Any) -> Any:
        raise NotConfigured("OLLAMA_HOST", purpose="ask a language model")


def arm(port: int, user: str, batch: int, most: int) -> None:
    """One run over a mailbox; prints its figures. The database comes from the environment."""
    set_level("ERROR")
    settings = ImapSettings(
        host="127.0.0.1", port=port, user=user, password=dovecot.PASSWORD, security="plain"
    )
    config = EmailConfig(
        move_messages=True, rules=mail_corpus.RULES, batch=batch, most_per_run=most, time_limit_seconds=3000
    )
    with imap.connect(settings) as mailbox, db.connect(DatabaseSettings()) as opened:
        began = time.perf_counter()
        report = service.triage(
            mailbox, opened.mail, opened.tasks, FakeMemory(), FakeNotifier(), _NoModel(),
            now=clock.utcnow(), config=config, dry_run=False,
        )  # fmt: skip
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"mails": report.processed, "seconds": seconds, "moved": report.moved, "peak_mib": peak})
    )


def _run(
    server: dovecot.Dovecot,
    database: DatabaseSettings,
    raws: list[bytes],
    batch: int,
    most: int,
    delay: float,
) -> dict[str, Any]:
    user = server.user()
    for number, raw in enumerate(raws):
        server.deliver(user, raw, at=clock.utcnow() - timedelta(days=30, seconds=-number))
    with server.by_hand(user) as box:
        box.uids()  # the server takes what was delivered into its index, as it does when mail arrives
    with tcp_proxy.before(server.port, delay_seconds=delay) as proxy:
        command = [sys.executable, __file__, "--arm", str(proxy.port), user, str(batch), str(most)]
        environment = {**os.environ, **servers.environment_of(database)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        trips = proxy.round_trips
    found["per_second"] = found["mails"] / found["seconds"]
    found["round_trips_per_mail"] = trips / found["mails"]
    name = f"{'batches of ' + str(batch) if batch > 1 else 'one by one':16} {delay * 1000:4.0f} ms"
    print(
        f"{name}: {found['mails']:6} mails in {found['seconds']:7.1f} s = {found['per_second']:7.1f}/s, "
        f"{found['round_trips_per_mail']:.3f} round trips a mail, {found['moved']} moved, "
        f"peak {found['peak_mib']:.0f} MiB"
    )
    return found


def measure(messages: int, sample: int, delay_ms: float) -> dict[str, Any]:
    """The figures; `sample` mails for the arms that would take too long."""
    batch = EmailConfig().batch
    raws = [letter.raw for letter in mail_corpus.generate(messages)]
    print(
        f"{messages} mails of {sum(map(len, raws)) / messages / 1000:.1f} kB; load {os.getloadavg()[0]:.1f}"
    )
    with dovecot.running() as server, servers.embedded_server() as postgres:
        database = servers.settings_of(postgres)
        migrate.upgrade(database)
        whole = _run(server, database, raws, batch, messages, 0)
        single = _run(server, database, raws, 1, sample, 0)
        delay = delay_ms / 1000
        far = _run(server, database, raws, batch, messages, delay)
        far_single = _run(server, database, raws, 1, sample, delay)
    return {
        "mails_per_second": round(whole["per_second"], 1),
        "ratio_one_by_one": round(whole["per_second"] / single["per_second"], 1),
        "mails_per_second_far": round(far["per_second"], 1),
        "ratio_one_by_one_far": round(far["per_second"] / far_single["per_second"], 1),
        "far_ms": delay_ms,
        "round_trips_per_mail": round(whole["round_trips_per_mail"], 4),
        "round_trips_per_mail_one_by_one": round(single["round_trips_per_mail"], 3),
        "peak_mib": round(whole["peak_mib"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a mailbox is sorted.")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--arm", nargs=4, metavar=("PORT", "USER", "BATCH", "MOST"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        port, user, batch, most = given.arm
        arm(int(port), user, int(batch), int(most))
        return
    print(json.dumps(measure(given.messages, given.sample, given.delay_ms)))


if __name__ == "__main__":
    main()
