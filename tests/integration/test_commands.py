"""Commands on real PostgreSQL and over real HTTP: effects, killed processes, races, hostile texts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters import discord_channel
from aegis_lib.alerts.model import Problem
from aegis_lib.approvals import service as approvals
from aegis_lib.approvals.model import Approval, ApprovalsConfig, Proposal, State, Via
from aegis_lib.commands import service
from aegis_lib.commands.carrying_out import Hands
from aegis_lib.commands.model import CommandsConfig, CommandsReport
from aegis_lib.containers.model import Listed
from aegis_lib.db import database as db
from aegis_lib.db.commands import CommandStore
from aegis_lib.settings import DatabaseSettings, DiscordSettings
from tests import postgres as servers
from tests.fake_services import discord as discord_service
from tests.fake_services.discord import ADA, EVE, TASKS, FakeDiscord
from tests.fakes.alerts import FakeNotifier
from tests.fakes.commands import FakeJobs
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeDiscord:
    return FakeDiscord(httpserver)


def variables(fake: FakeDiscord) -> dict[str, str]:
    return {
        "DISCORD_BOT_TOKEN": discord_service.TOKEN,
        "DISCORD_TASKS_CHANNEL": TASKS,
        "DISCORD_ALLOWED_USERS": ADA,
        "DISCORD_API_URL": fake.api_url,
    }


def hands(database: db.Database, jobs: Any) -> Hands:
    return Hands(
        jobs=jobs, tasks=database.tasks, containers=database.container_cases, strikes=database.strikes,
        alerts=database.alerts,
        approve=partial(approvals.approve, database.approvals, via=Via.DISCORD),
        reject=partial(approvals.reject, database.approvals, via=Via.DISCORD),
        waiting=partial(approvals.pending, database.approvals),
    )  # fmt: skip


class Installation:
    """A migrated database, a channel that is being read, and jobs in memory."""

    def __init__(self, database: db.Database, fake: FakeDiscord) -> None:
        self.database, self.fake, self.jobs = database, fake, FakeJobs()
        self.notifier = FakeNotifier()
        self.now: datetime | None = None

    def look(self, database: db.Database | None = None) -> CommandsReport:
        chosen = database or self.database
        found = {name.lower(): value for name, value in variables(self.fake).items()}
        settings = DiscordSettings(**found)
        with discord_channel.connect(settings, sleep=lambda _: None) as channel:
            return service.run_cycle(
                channel, chosen.commands, hands(chosen, self.jobs), chosen.memory, self.notifier,
                allowed=discord_channel.allowed_users(settings), config=CommandsConfig(),
                now=self.now or datetime.now(UTC),
            )  # fmt: skip

    def ask(self, content: str, author: str = ADA) -> str:
        number = self.fake.say(content, author)
        self.look()
        (answer,) = self.fake.answers(number)
        return answer

    def rows(self) -> list[dict[str, Any]]:
        joined = "SELECT * FROM discord_tasks JOIN discord_answers ON task_id = id ORDER BY id"
        return self.database.connection.execute(joined).fetchall()


@pytest.fixture
def here(database: db.Database, fake: FakeDiscord) -> Installation:
    fake.say("good morning")
    found = Installation(database, fake)
    assert found.look().started
    fake.requests.clear()
    return found


def proposal(database: db.Database, key: str = "k") -> Approval:
    now = datetime.now(UTC)
    wanted = Proposal(
        kind="reply", key=key, recipient="grace@example.org", subject="Your question", body="Hello",
        expires_at=now + timedelta(days=1),
    )  # fmt: skip
    return approvals.propose(database.approvals, wanted, ApprovalsConfig(), now)


# --- what commands do there ---


def test_a_task_stands_in_both_tables(here: Installation) -> None:
    assert here.ask("!task buy milk\nand bread") == "Task 1 is on the list."
    (task,) = here.database.tasks.pending()
    (row,) = here.rows()
    assert (task.title, task.source_key) == ("buy milk", f"discord:{row['message_id']}")
    assert (row["content"], row["author_id"], row["author_name"]) == (
        "!task buy milk\nand bread", ADA, "ada",
    )  # fmt: skip
    assert (row["status"], row["result"]) == ("completed", "Task 1 is on the list.")
    assert row["completed_at"] is not None
    assert row["answered_at"] is not None


def test_a_container_is_acknowledged_with_its_alert(here: Installation) -> None:
    now = datetime.now(UTC)
    box = Listed(engine="local", id="c1", name="web", state="running", created_at=now)
    here.database.strikes.claim_strike(box, "unhealthy", now, timedelta(0))
    sick = Problem(
        key=f"docker:local:web:{now.isoformat()}", occurrence="1", title="web is sick", seen_at=now
    )
    here.database.alerts.raise_problem(sick)
    assert "Containers with strikes: web (1)" in here.ask("!status")
    assert here.ask("!ack web") == "`web` (local): acknowledged."
    assert here.database.strikes.open_cases(now) == []
    assert here.database.alerts.newest(10) == []
    assert "no open case of a container `web`" in here.ask("!ack web")


def test_a_proposal_is_decided_once_and_by_whom(here: Installation) -> None:
    first, second = proposal(here.database, "a"), proposal(here.database, "b")
    assert "2 " not in here.ask("!help")
    assert f"Proposals that wait for a decision: {first.number}" in here.ask("!status")
    assert "is approved" in here.ask(f"!approve {first.number}")
    assert "is rejected" in here.ask(f"!reject {second.number}")
    decided = here.database.approvals.get(first.number)
    assert decided is not None
    assert (decided.state, decided.decided_by, decided.decided_via) == (
        State.APPROVED, f"Discord {ADA} (ada)", Via.DISCORD,
    )  # fmt: skip
    assert "is rejected already, by Discord" in here.ask(f"!approve {second.number}")
    assert "There is no proposal 99" in here.ask("!approve 99")


def test_what_changed_something_is_remembered_and_nothing_else(here: Installation) -> None:
    for content in ("!help", "!task one", "!run nothing_such", "!run health_check", "!nonsense"):
        here.ask(content)
    here.look()
    events = here.database.memory.recall_recent(event_type="discord_command")
    assert [event.details["verb"] for event in reversed(events)] == ["task", "run"]


def test_somebody_else_gets_a_reaction_and_a_row(here: Installation) -> None:
    number = here.fake.say("!run health_check", EVE)
    here.look()
    here.look()
    (row,) = here.rows()
    assert (row["status"], row["result"], row["authorized"]) == ("refused", None, False)
    assert here.fake.reactions == {str(number): {"🚫"}}
    assert (here.fake.answers(), here.jobs.calls) == ([], [])


def test_an_idle_look_is_one_request_and_writes_nothing(here: Installation) -> None:
    before = here.database.connection.execute("SELECT xmin, * FROM discord_channels").fetchall()
    here.look()
    here.look()
    assert [request.method for request in here.fake.requests] == ["GET", "GET"]
    assert here.database.connection.execute("SELECT xmin, * FROM discord_channels").fetchall() == before


def test_a_row_of_another_program_is_never_carried_out(here: Installation) -> None:
    number = here.fake.say("!run health_check")
    here.database.connection.execute(
        "INSERT INTO discord_tasks (message_id, content, author_id, author_name) VALUES"
        " ('1', '!run health_check', %(ada)s, 'ada'), (%(seen)s, '!run health_check', %(ada)s, 'ada')",
        {"ada": ADA, "seen": str(number)},
    )
    here.look()
    assert (here.jobs.calls, here.fake.answers()) == ([], [])


HOSTILE = [
    "!task '; DROP TABLE tasks; --",
    "!task %s %(id)s {0} {__class__} $1 :id",
    "!task $(touch /tmp/aegis-pwned) `id` | sh",
    "!task ../../../../etc/passwd",
    "!task @everyone <@&1> <@1> [x](https://example.org) ||x|| ```",
    "!task a\x00b \ud800",
    "!task \u202e!resu on\u202c !run health_check\n!approve 1\n!pause health_check",
    "!task " + "\U0001f600" * 1900,
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_hostile_task_is_a_text_and_nothing_else(here: Installation, content: str) -> None:
    waiting = proposal(here.database)
    said = here.ask(content)
    assert said == "Task 1 is on the list." or "needs the text" in said
    assert here.jobs.calls == []
    kept = here.database.approvals.get(waiting.number)
    assert kept is not None
    assert kept.state is State.PENDING
    for task in here.database.tasks.pending():
        assert content.split()[1][:1] in task.title + task.details
    assert not Path("/tmp/aegis-pwned").exists()
    here.look()
    assert len(here.fake.answers()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "!run health_check' OR '1'='1",
        "!run health_check; !approve 1",
        "!ack web' OR name LIKE '%",
        "!ack %",
        "!approve 1 OR 1=1",
        "!approve 1; !approve 2",
        "!pause --all",
        "!run https://example.org/health_check",
        "!run\u00a0health_check\u2028!run site_check",
    ],
)
def test_a_hostile_name_or_number_reaches_nobody(here: Installation, content: str) -> None:
    waiting = proposal(here.database)
    assert "Nothing was done" in here.ask(content)
    kept = here.database.approvals.get(waiting.number)
    assert kept is not None
    assert kept.state is State.PENDING
    assert (here.jobs.calls, here.jobs.asked) == ([], {})


def test_what_others_wrote_pings_nobody_when_it_is_shown(here: Installation) -> None:
    now = datetime.now(UTC)
    nasty = "@everyone <@1> [click](https://example.org) `x`"
    here.database.alerts.raise_problem(Problem(key="k", occurrence="1", title=nasty, seen_at=now))
    said = here.ask("!status")
    assert "\\@everyone \\<\\@1\\> \\[click\\]\\(https\\://example.org\\)" in said


# --- killed, and raced ---

LOOK = """
import sys
from datetime import UTC, datetime
from aegis_lib.adapters import discord_channel
from aegis_lib.commands import service
from aegis_lib.commands.model import CommandsConfig
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, DiscordSettings
from tests.fakes.commands import FakeJobs
from tests.fakes.alerts import FakeNotifier
from tests.integration.test_commands import hands
settings = DiscordSettings()
with discord_channel.connect(settings) as channel, database.connect(DatabaseSettings()) as db:
    service.run_cycle(channel, db.commands, hands(db, FakeJobs()), db.memory, FakeNotifier(),
        allowed=discord_channel.allowed_users(settings), config=CommandsConfig(), now=datetime.now(UTC))
"""


class Child:
    """A process of its own that looks once."""

    def __init__(self, here: Installation, settings: DatabaseSettings) -> None:
        surroundings = {**os.environ, **variables(here.fake), **servers.environment_of(settings)}
        self.errors = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOK], cwd=ROOT, env=surroundings, stderr=subprocess.PIPE
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def wait(self) -> int:
        """Its exit code."""
        _, self.errors = self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.mark.parametrize("when", ["before_write", "after_write"])
@pytest.mark.parametrize("nonces", ["remembered", "forgotten"])
@pytest.mark.parametrize("content", ["!task one", "!approve 1"])
def test_a_process_killed_while_it_answers_leaves_one_effect_and_one_answer(
    here: Installation, database_settings: DatabaseSettings, when: str, nonces: str, content: str
) -> None:
    proposal(here.database)
    number = here.fake.say(content)
    child = Child(here, database_settings)
    setattr(here.fake, when, child.kill)
    assert child.wait() == -signal.SIGKILL
    setattr(here.fake, when, lambda: None)
    # A request that had arrived is carried out all the same.
    wait_until(lambda: here.fake.answers(number), description="the answer of the one who died")
    if nonces == "forgotten":
        here.fake.forget_nonces()
    second = Child(here, database_settings)
    assert second.wait() == 0, second.errors.decode()
    here.look()
    assert len(here.fake.answers(number)) == 1
    assert len(here.database.tasks.pending()) == (1 if content == "!task one" else 0)
    assert here.database.approvals.get(1).state is (  # type: ignore[union-attr]
        State.APPROVED if content == "!approve 1" else State.PENDING
    )
    assert len(here.database.memory.recall_recent(event_type="discord_command")) == 1


def test_a_killed_process_keeps_nobody_waiting(
    here: Installation, database_settings: DatabaseSettings
) -> None:
    here.fake.say("!task one")
    child = Child(here, database_settings)
    here.fake.before_write = child.kill
    child.wait()
    here.fake.before_write = lambda: None
    later = here.fake.say("!help")
    assert here.look().answered == 2
    assert here.fake.answers(later)


@pytest.fixture
def second(database_settings: DatabaseSettings) -> Iterator[db.Database]:
    with db.connect(database_settings) as opened:
        yield opened


def test_of_two_runs_one_works(here: Installation, second: db.Database) -> None:
    here.fake.say("!task one")
    with second.commands.exclusive() as held:
        assert held
        assert here.look().summary == "Another run is carrying out commands."
    assert here.look().answered == 1


def test_two_runs_at_once_do_and_say_everything_once_even_without_the_lock(
    here: Installation, second: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CommandStore, "exclusive", lambda self: nullcontext(True))
    numbers = [here.fake.say(f"!task {number}") for number in range(10)]
    numbers += [here.fake.say("!run health_check"), here.fake.say("!help")]
    with ThreadPoolExecutor(2) as pool:
        runs: list[Callable[[], CommandsReport]] = [here.look, partial(here.look, second)]
        for done in [pool.submit(run) for run in runs]:
            done.result(60)
    here.look()
    assert [len(here.fake.answers(number)) for number in numbers] == [1] * len(numbers)
    assert sorted(task.title for task in here.database.tasks.pending()) == [str(n) for n in range(10)]
    assert len(here.jobs.asked) == 1
    assert len(here.database.memory.recall_recent(100, event_type="discord_command")) == 11
