"""How long it takes from a run's failure until the message about it has arrived, over a real stack.

`aegis up` runs on an empty temporary directory with its automations, worker and outbox; a local web server
plays Discord. Each failure is a job of its own, so that nothing is counted instead of sent: a run is set to
Failed over the server's API, and the time counts from that state's own timestamp to the last byte of the
request that brings the message. First one failure after the other, with the automations on; then all
automations are switched off and failures are spread over the seconds of a minute, so that only the schedule
of `alert_dispatch` finds them. There is no peer: Prefect as it comes has no outbox and no receipts. About
eight minutes with 20 failures. The last line is JSON.

    python bench/alerts.py [--failures 20] [--scheduled 8]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deployments.automations import PREFIX, STORM_SECONDS
from tests.stack_process import StackProcess, temporary_directory

LIMIT_SECONDS = 150
ROOM = "100000000000000001"


class Channel:
    """Plays Discord on the loopback address and remembers when which title arrived."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.news = threading.Condition()
        channel, numbers = self, count(900000000000000000)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.time()
                answer = json.dumps({"id": str(next(numbers)), "channel_id": ROOM, "type": 0}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                with channel.news:
                    for embed in body.get("embeds", ()):
                        channel.arrived.setdefault(embed.get("title", "").replace("\\", ""), now)
                    channel.news.notify_all()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, title: str) -> float | None:
        """When it arrived (epoch seconds); None after `LIMIT_SECONDS`."""
        with self.news:
            self.news.wait_for(lambda: title in self.arrived, LIMIT_SECONDS)
            return self.arrived.get(title)


class Failures:
    """Jobs of which each fails once."""

    def __init__(self, stack: StackProcess, channel: Channel) -> None:
        self.api, self.channel, self.number = stack.api, channel, count(1)
        self.flow = self.api.post("/flows/", {"name": "sample"})["id"]

    def fail(self) -> tuple[str, float]:
        """The title of the message that must come, and when the run failed (epoch seconds)."""
        name = f"sample-{next(self.number)}"
        body = {"name": name, "flow_id": self.flow, "tags": ["aegis-custom"]}
        deployment = self.api.post("/deployments/", body)["id"]
        run = self.api.post(f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        for state in ({"type": "RUNNING"}, {"type": "FAILED", "message": "no licence"}):
            answer = self.api.post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        failed = datetime.fromisoformat(answer["state"]["timestamp"])
        return f"{name.replace('-', '_')} failed", failed.timestamp()

    def one_by_one(self, number: int) -> list[float | None]:
        """Seconds until each message arrived; the next failure comes when its event may start a dispatch."""
        found = []
        for _ in range(number):
            title, failed_at = self.fail()
            arrived = self.channel.wait(title)
            found.append(None if arrived is None else arrived - failed_at)
            time.sleep(max(0.0, failed_at + STORM_SECONDS + 2 - time.time()))
        return found

    def spread(self, number: int) -> list[float | None]:
        """The same with the failures spread evenly over the phases of a minute, none waiting for another."""
        failed = []
        for _ in range(number):
            failed.append(self.fail())
            time.sleep(60 / number)
        arrivals = [(self.channel.wait(title), at) for title, at in failed]
        return [None if arrived is None else arrived - at for arrived, at in arrivals]


def switch_off_automations(stack: StackProcess) -> None:
    for row in stack.api.filter("/automations/filter"):
        if row["name"].startswith(PREFIX):
            stack.api.patch(f"/automations/{row['id']}", {"enabled": False})


def percentile(values: list[float], share: float) -> float:
    """By nearest rank: the smallest value that is not below that share of them."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def row(name: str, found: list[float | None]) -> list[float]:
    arrived = [seconds for seconds in found if seconds is not None]
    if not arrived:
        sys.exit(f"{name}: not one message arrived within {LIMIT_SECONDS} s.")
    print(
        f"{name:<22}{len(found):>9}{len(arrived):>9}{statistics.median(arrived):>10.2f}"
        f"{percentile(arrived, 0.95):>8.2f}{max(arrived):>8.2f}"
    )
    return arrived


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--failures", type=int, default=20)
    options.add_argument("--scheduled", type=int, default=8)
    chosen = options.parse_args()
    channel = Channel()
    with temporary_directory() as directory:
        stack = StackProcess(
            directory,
            DISCORD_BOT_TOKEN="bench",
            DISCORD_ALERTS_CHANNEL=ROOM,
            DISCORD_API_URL=channel.url,
        )
        try:
            stack.start()
            failures = Failures(stack, channel)
            with_automations = failures.one_by_one(chosen.failures)
            switch_off_automations(stack)
            scheduled = failures.spread(chosen.scheduled)
            stack.interrupt()
        finally:
            stack.close()
    print(f"{'found by':<22}{'failures':>9}{'arrived':>9}{'median s':>10}{'p95 s':>8}{'max s':>8}")
    quick, slow = row("automation", with_automations), row("schedule alone", scheduled)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    figures = {
        "alert_median_seconds": round(statistics.median(quick), 2),
        "alert_p95_seconds": round(percentile(quick, 0.95), 2),
        "alert_max_seconds": round(max(quick), 2),
        "scheduled_median_seconds": round(statistics.median(slow), 2),
        "scheduled_max_seconds": round(max(slow), 2),
        "lost": chosen.failures + chosen.scheduled - len(quick) - len(slow),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
