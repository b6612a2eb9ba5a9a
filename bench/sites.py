"""How many sites one process can check, what a check costs, and how often it is wrong.

    python bench/sites.py [--sites 1000] [--rounds 5] [--loss-rounds 20]

Local sites in a process of their own (bench/site_server.py). Three parts:

1. Plain HTTP with keep-alive: checks a second and CPU time a check, against a loop over httpx and against
   httpx in asyncio with all requests at once.
2. Mixed: latency, errors and a tenth with TLS: checks a second, and whether every verdict is right.
3. One request in a hundred is reset at random: sites wrongly DOWN over many rounds, by our rules and by the
   rule that one failure is DOWN; then ten sites go away: how long until that is known.

Prints a table and, as the last line, one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.adapters.site_prober import prober
from aegis_lib.changes import policy as changes
from aegis_lib.logs import set_level
from aegis_lib.sites import judging, service
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.sites.seen import SiteState
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory
from tests.fakes.sites import FakeSiteStore

SERVER = Path(__file__).with_name("site_server.py")
INTERVAL = timedelta(minutes=5)


class Sites:
    """The running sites."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        self.process = process
        self.urls: list[str] = told["urls"]
        self.failing: list[bool] = told["failing"]
        self.ca_file = directory / "authority.pem"

    def take_down(self, count: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"down {count}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def config(self, **settings: Any) -> SitesConfig:
        sites = tuple(
            Site(name=f"s{n}", url=url, allow_private_addresses=True, contains=("All is well",))
            for n, url in enumerate(self.urls)
        )
        return SitesConfig(sites=sites, **{"per_host": 100, **settings})  # all are one host here


@contextmanager
def running(**options: float) -> Iterator[Sites]:
    with tempfile.TemporaryDirectory() as directory:
        flags = [
            part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        process = subprocess.Popen(
            [sys.executable, str(SERVER), *flags, "--directory", directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield Sites(process, Path(directory))
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            process.wait(10)
            process.stdout.close()  # type: ignore[union-attr]


class Measured:
    """Wall and CPU time of this process from entering to leaving."""

    def __enter__(self) -> Measured:
        self._wall, self._cpu = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self._wall, _cpu() - self._cpu


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(sites: Sites, rounds: int) -> tuple[Measured, int]:
    """Looks and verdicts, one call, so that connections are used again; how many verdicts were wrong."""
    config = sites.config()
    expected = {f"s{n}": not failing for n, failing in enumerate(sites.failing)}
    wrong = 0
    ca_file = str(sites.ca_file) if sites.ca_file.exists() else None
    with Measured() as took, prober.connect(config, ca_file=ca_file) as opened:
        watched = config.watched()
        by_name = {one.site.name: one for one in watched}
        now = datetime.now(UTC)
        for probe in opened.probe(watched * rounds, 600):
            good = judging.judge(by_name[probe.site], probe, now).failing is None
            wrong += good is not expected[probe.site]
    return took, wrong


def sequential(urls: list[str]) -> Measured:
    with Measured() as took, httpx.Client(timeout=10) as client:
        for url in urls:
            assert b"All is well" in client.get(url).content
    return took


def at_once(urls: list[str]) -> Measured:
    async def fetch() -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            timeout=120, limits=limits, verify=ssl.create_default_context()
        ) as client:
            for answer in await asyncio.gather(*(client.get(url) for url in urls)):
                assert b"All is well" in answer.content

    with Measured() as took:
        asyncio.run(fetch())
    return took


def mistakes(sites: Sites, rounds: int) -> dict[str, Any]:
    """Rounds of the whole service at the pace of the job, with a clock that jumps from run to run."""
    config = sites.config(retry_seconds=0.2, group_from=1000)
    store, notifier = FakeSiteStore(), FakeNotifier()
    now = datetime.now(UTC)

    def run() -> None:
        nonlocal now
        with prober.connect(config) as opened:
            service.run(opened, changes, store, FakeMemory(now), notifier, config, now=now)
        now += INTERVAL

    for _ in range(rounds):
        run()
    lost = sum(check.attempts > 1 for check in store.checks)
    false_down = len(store.incidents)
    sites.take_down(10)
    gone_at, needed = now, 0
    while sum(one.state is SiteState.DOWN for one in store.states.values()) < 10:
        run()
        needed += 1
    known_at = max(one.opened_at for one in store.open_incidents())
    # an outage begins anywhere between two checks: half an interval before the first that sees it
    delay = (known_at - gone_at + INTERVAL / 2).total_seconds() / 60
    return {
        "checks": rounds * len(sites.urls),
        "first_attempts_lost": lost,
        "false_down_single": lost,
        "false_down": false_down,
        "detection_checks": needed,
        "detection_minutes": round(delay, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all sites in the first two parts")
    parser.add_argument("--loss-rounds", type=int, default=20, help="rounds in the third part")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    set_level("ERROR")
    figures: dict[str, Any] = {"sites": given.sites}

    with running(sites=given.sites) as sites:
        ours(sites, 1)  # warm
        took, wrong = ours(sites, given.rounds)
        assert wrong == 0
        checks = given.sites * given.rounds
        one_by_one = sequential(sites.urls)
        together = at_once(sites.urls)
    rate = checks / took.seconds
    print(f"{'plain HTTP':28}{'checks/s':>12}{'CPU us/check':>14}{'ratio':>8}")
    print(f"{'ours':28}{rate:>12,.0f}{took.cpu_seconds / checks * 1e6:>14,.0f}{1:>8}")
    figures |= {"checks_per_second": round(rate), "cpu_us_per_check": round(took.cpu_seconds / checks * 1e6)}
    for name, label, peer in (
        ("sequential", "httpx, one after another", one_by_one),
        ("asyncio", "httpx, all at once", together),
    ):
        peer_rate = given.sites / peer.seconds
        ratio = rate / peer_rate
        print(f"{label:28}{peer_rate:>12,.0f}{peer.cpu_seconds / given.sites * 1e6:>14,.0f}{ratio:>8.1f}")
        figures |= {f"{name}_per_second": round(peer_rate), f"ratio_{name}": round(ratio, 1)}

    with running(sites=given.sites, latency_ms=20, errors=0.02, tls=0.1) as sites:
        took, wrong = ours(sites, given.rounds)
    rate = checks / took.seconds
    print(f"\nmixed (20 ms, 2 % errors, a tenth TLS): {rate:,.0f} checks/s, "
          f"CPU {took.cpu_seconds / checks * 1e6:,.0f} us/check, {wrong} verdicts wrong")  # fmt: skip
    figures |= {"mixed_per_second": round(rate), "mixed_wrong": wrong}

    with running(sites=given.sites, loss=0.01) as sites:
        found = mistakes(sites, given.loss_rounds)
    print(f"\n1 % of requests lost, {found['checks']:,} checks: {found['first_attempts_lost']} first tries "
          f"failed (one failure = DOWN would be wrong so often), {found['false_down']} sites wrongly down; "
          f"ten sites gone: known after {found['detection_checks']} checks, "
          f"{found['detection_minutes']} minutes on average")  # fmt: skip
    figures |= found
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
