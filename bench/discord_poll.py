"""What looking for commands in a Discord channel costs, and how long a command waits for its answer.

Looks: one process looks at a quiet channel again and again, as a run of `discord_commands` does it each
minute, with connections of its own each time, against a loopback server that plays Discord and a real
PostgreSQL. The processor time is that of the looking thread alone. Beside it the same looks without a
bookmark: what a poller fetches that does not remember how far it read, here a channel of 99 messages.

Latency: `aegis up` runs on an empty directory; people write `!help` spread over the seconds of a minute, and
the time counts until the answer stands in the channel. Most of it is the wait for the job's minute. About
three minutes. The last line is JSON.

    python bench/discord_poll.py [--looks 100] [--commands 12]
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pytest_httpserver import HTTPServer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.adapters import discord_channel
from aegis_lib.adapters.discord_channel import DiscordChannel
from aegis_lib.commands import service
from aegis_lib.commands.model import CommandsConfig
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, DiscordSettings
from aegis_lib.web import exchange
from tests.fake_services import discord
from tests.fake_services.discord import ADA, TASKS, FakeDiscord
from tests.fakes.alerts import FakeNotifier
from tests.fakes.commands import FakeHands
from tests.fakes.memory import FakeMemory
from tests.postgres import shared_server
from tests.stack_process import StackProcess, temporary_directory

MESSAGES = 99
LIMIT_SECONDS = 180


def variables(fake: FakeDiscord) -> dict[str, str]:
    return {
        "DISCORD_BOT_TOKEN": discord.TOKEN,
        "DISCORD_TASKS_CHANNEL": TASKS,
        "DISCORD_ALLOWED_USERS": ADA,
        "DISCORD_API_URL": fake.api_url,
    }


def look(fake: FakeDiscord, settings: DatabaseSettings) -> None:
    """One look, as a run does it, whose process reads the certificate authorities anew."""
    exchange._trust.cache_clear()
    found = {name.lower(): value for name, value in variables(fake).items()}
    with (
        discord_channel.connect(DiscordSettings(**found)) as channel,  # type: ignore[arg-type]
        database.connect(settings) as db,
    ):
        service.run_cycle(
            channel, db.commands, FakeHands().all(), FakeMemory(), FakeNotifier(),
            allowed={ADA}, config=CommandsConfig(), now=datetime.now(UTC),
        )  # fmt: skip


def look_without_bookmark(fake: FakeDiscord, settings: DatabaseSettings) -> None:
    """The same, but for all messages of the channel each time."""
    known = DiscordChannel.after
    try:
        DiscordChannel.after = lambda self, _after, limit=100: known(self, 0, limit)  # type: ignore[method-assign]
        look(fake, settings)
    finally:
        DiscordChannel.after = known  # type: ignore[method-assign]


def measured(fake: FakeDiscord, looks: int, one: Callable[[], None]) -> dict[str, float]:
    """Means of `looks` looks: requests, kilobytes received, milliseconds of processor and of the wall."""
    one()
    fake.requests.clear()
    sent = fake.bytes_sent
    processor, wall = time.thread_time(), time.perf_counter()
    for _ in range(looks):
        one()
    return {
        "requests": len(fake.requests) / looks,
        "kilobytes": (fake.bytes_sent - sent) / looks / 1000,
        "cpu_ms": (time.thread_time() - processor) * 1000 / looks,
        "wall_ms": (time.perf_counter() - wall) * 1000 / looks,
    }


def costs(looks: int) -> tuple[dict[str, float], dict[str, float]]:
    """Of an idle look, and of one without a bookmark."""
    with HTTPServer(port=0, threaded=True) as server, shared_server() as postgres:
        fake = FakeDiscord(server)
        for number in range(MESSAGES):
            at = datetime.now(UTC) - timedelta(minutes=10 + MESSAGES - number)
            fake.say(f"Talk number {number}, of which there is a lot in such a channel.", at=at)
        settings = postgres.settings(postgres.create_migrated())
        look(fake, settings)
        ours = measured(fake, looks, partial(look, fake, settings))
        other = measured(fake, looks, partial(look_without_bookmark, fake, settings))
        return ours, other


def latencies(commands: int) -> list[float]:
    """Seconds from a command to its answer, over a real stack."""
    with HTTPServer(port=0, threaded=True) as server, temporary_directory() as directory:
        fake = FakeDiscord(server)
        fake.say("good morning")
        stack = StackProcess(directory, **variables(fake))
        try:
            stack.start()
            began = time.monotonic()
            while not any("after" in request.args for request in list(fake.requests)):
                if time.monotonic() - began > LIMIT_SECONDS:
                    sys.exit("The job discord_commands did not begin to read.")
                time.sleep(0.5)
            written = []
            for _ in range(commands):
                written.append((fake.say("!help"), time.monotonic()))
                time.sleep(60 / commands)
            found = [arrival(fake, number, at) for number, at in written]
            stack.interrupt()
        finally:
            stack.close()
    answers = [len(fake.answers(number)) for number, _ in written]
    if answers != [1] * commands:
        sys.exit(f"Not every command has one answer: {answers}")
    return found


def arrival(fake: FakeDiscord, number: int, written_at: float) -> float:
    """Seconds until the answer to a message stood in the channel."""
    while number not in fake.answered_at:
        if time.monotonic() - written_at > LIMIT_SECONDS:
            sys.exit(f"A command was not answered within {LIMIT_SECONDS} s.")
        time.sleep(0.05)
    return fake.answered_at[number] - written_at


def percentile(values: list[float], share: float) -> float:
    """By nearest rank: the smallest value that is not below that share of them."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--looks", type=int, default=100)
    options.add_argument("--commands", type=int, default=12)
    chosen = options.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ours, other = costs(chosen.looks)
    print(f"{'a look at a quiet channel':<28}{'requests':>9}{'kB':>8}{'CPU ms':>8}{'wall ms':>9}")
    for name, row in (("from the bookmark on", ours), ("without a bookmark", other)):
        print(
            f"{name:<28}{row['requests']:>9.2f}{row['kilobytes']:>8.1f}{row['cpu_ms']:>8.1f}"
            f"{row['wall_ms']:>9.1f}"
        )
    waits = latencies(chosen.commands)
    print(
        f"command to answer, {len(waits)} commands: median {statistics.median(waits):.1f} s, "
        f"p95 {percentile(waits, 0.95):.1f} s, longest {max(waits):.1f} s"
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    figures = {
        "idle_requests": round(ours["requests"], 2),
        "idle_kilobytes": round(ours["kilobytes"], 2),
        "idle_cpu_ms": round(ours["cpu_ms"], 2),
        "idle_wall_ms": round(ours["wall_ms"], 2),
        "ratio_kilobytes": round(other["kilobytes"] / ours["kilobytes"], 1),
        "ratio_cpu": round(other["cpu_ms"] / ours["cpu_ms"], 2),
        "latency_median_seconds": round(statistics.median(waits), 2),
        "latency_p95_seconds": round(percentile(waits, 0.95), 2),
        "latency_max_seconds": round(max(waits), 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
