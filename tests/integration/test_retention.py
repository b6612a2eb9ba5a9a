"""What retention removes from a real database, kind by kind, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.db.retention import BY_DAY, BY_ROW
from aegis_lib.retention import service
from aegis_lib.retention.model import Kind, RetentionConfig, RetentionReport
from aegis_lib.settings import DatabaseSettings

NOW = datetime(2026, 3, 14, 1, 15, tzinfo=UTC)
OLD = NOW - timedelta(days=500)
NEW = NOW - timedelta(days=3)


def remove(database: Database, *, dry_run: bool = False, **config: Any) -> RetentionReport:
    return service.remove_expired(
        database.retention.kinds(), database.memory, RetentionConfig(**config), language_model_days=14,
        now=NOW, dry_run=dry_run, pause=lambda seconds: None,
    )  # fmt: skip


def counts(report: RetentionReport) -> dict[Kind, int]:
    return {row.kind: row.count for row in report.rows if row.count}


def rows(database: Database, query: str) -> list[Any]:
    return [tuple(row.values()) for row in database.connection.execute(query)]


def incident(database: Database, site: str, closed: datetime | None, told: bool = True) -> None:
    database.connection.execute(
        "INSERT INTO site_incidents (site, kind, opened_at, closed_at, reason, closing_told_at) "
        "VALUES (%s, 'down', %s, %s, 'x', %s)",
        [site, OLD, closed, closed if told else None],
    )


def change(database: Database, site: str, at: datetime, told: bool) -> None:
    database.connection.execute(
        "INSERT INTO site_changes (site, changed_at, summary, diff, told_at) VALUES (%s, %s, 'x', '', %s)",
        [site, at, at if told else None],
    )


def anomaly(database: Database, host: str, closed: datetime | None) -> None:
    database.connection.execute(
        "WITH made AS (INSERT INTO anomaly_groups (host, cause, title, score, opened_at, last_at, closed_at) "
        "VALUES (%s, 'load', 'x', 1, %s, %s, %s) RETURNING id, host) "
        "INSERT INTO anomalies (group_id, series, host, subject, metric, at, score, value, deviation) "
        "SELECT id, host, host, 'x', 'cpu', %s, 1, 1, 1 FROM made",
        [host, OLD, OLD, closed, OLD],
    )


def mail(database: Database, name: str, finished: datetime | None, ours: bool = True) -> None:
    database.connection.execute(
        "WITH cached AS (INSERT INTO email_cache (message_id, subject, body_text, snippet, created_at) "
        "VALUES (%s, 'About', 'text', 'te', %s) RETURNING id) "
        "INSERT INTO mail_sorted (account, identity, cache_id, claimed_at, finished_at) "
        "SELECT 'me', %s, id, %s, %s FROM cached WHERE %s",
        [name, OLD, name, OLD, finished, ours],
    )


def command(database: Database, name: str, answered: datetime | None, ours: bool = True) -> None:
    database.connection.execute(
        "WITH made AS (INSERT INTO discord_tasks (message_id, content, author_id, author_name, created_at) "
        "VALUES (%s, 'x', '1', 'x', %s) RETURNING id) "
        "INSERT INTO discord_answers (task_id, channel_id, sent_at, authorized, late, answered_at) "
        "SELECT id, '1', %s, true, false, %s FROM made WHERE %s",
        [name, OLD, OLD, answered, ours],
    )


def approval(database: Database, key: str, state: str, at: datetime) -> None:
    database.connection.execute(
        "INSERT INTO approvals (kind, key, recipient, recipient_key, subject, body, digest, approved_digest, "
        "state, proposed_at, expires_at, decided_by, decided_via, decided_at, ended_at, message_id) "
        "VALUES ('reply', %(key)s, 'a@b.example', 'a@b.example', 'Hello', 'Text', 'd', 'd', %(state)s, "
        "%(at)s, %(at)s, 'x', 'cli', %(at)s, %(at)s, %(key)s)",
        {"key": key, "state": state, "at": at},
    )


def restart(database: Database, name: str, at: datetime) -> None:
    database.connection.execute(
        "INSERT INTO container_restarts "
        "(engine, name, container_id, case_started_at, attempt, reason, claimed_at) "
        "VALUES ('local', %s, '1', %s, 1, 'x', %s)",
        [name, at, at],
    )


def exchange(database: Database, job: str, at: datetime) -> None:
    database.connection.execute(
        "INSERT INTO language_model_exchanges "
        "(job_id, prompt, provider, model, day, asked_at, reserved_tokens, instruction, data) "
        "VALUES (%s, 'x', 'x', 'x', %s, %s, 1, 'x', 'x')",
        [job, at.date(), at],
    )


def picture(
    database: Database, site: str, at: datetime, *, reference: bool = False, taken: bool = True
) -> None:
    database.connection.execute(
        "INSERT INTO site_pictures "
        "(site, taken_at, viewport, conditions, file_digest, problem, is_reference) "
        "VALUES (%s, %s, 'x', 'x', %s, %s, %s)",
        [site, at, "d" if taken else None, None if taken else "broken", reference],
    )


def test_old_and_closed_incidents_go_and_open_or_untold_ones_stay(database: Database) -> None:
    incident(database, "old", OLD)
    incident(database, "open", None)
    incident(database, "untold", OLD, told=False)
    incident(database, "new", NEW)
    assert counts(remove(database)) == {Kind.SITE_INCIDENTS: 1}
    assert rows(database, "SELECT site FROM site_incidents ORDER BY 1") == [("new",), ("open",), ("untold",)]


def test_changes_that_nobody_was_told_of_stay(database: Database) -> None:
    change(database, "old", OLD, told=True)
    change(database, "untold", OLD, told=False)
    change(database, "new", NEW, told=True)
    assert counts(remove(database)) == {Kind.SITE_CHANGES: 1}
    assert rows(database, "SELECT site FROM site_changes ORDER BY 1") == [("new",), ("untold",)]


def test_anomalies_go_with_their_points_and_lessons_stay(database: Database) -> None:
    anomaly(database, "old", OLD)
    anomaly(database, "open", None)
    database.connection.execute(
        "INSERT INTO anomaly_lessons (group_id, series, above, value, learned_at, expires_at) "
        "SELECT id, 'x', true, 1, now(), now() FROM anomaly_groups WHERE host = 'old'"
    )
    assert counts(remove(database)) == {Kind.ANOMALIES: 1}
    assert rows(database, "SELECT host FROM anomalies") == [("open",)]
    assert rows(database, "SELECT group_id, series FROM anomaly_lessons") == [(None, "x")]


def test_of_old_mails_the_text_goes_and_the_decision_stays(database: Database) -> None:
    mail(database, "old", OLD)
    mail(database, "unfinished", None)
    mail(database, "new", NEW)
    mail(database, "of somebody else", OLD, ours=False)
    assert counts(remove(database)) == {Kind.MAIL_TEXTS: 1}
    found = rows(
        database, "SELECT message_id, subject FROM email_cache WHERE body_text IS NULL AND snippet IS NULL"
    )
    assert found == [("old", "About")]
    assert rows(database, "SELECT count(*) FROM mail_sorted") == [(3,)]
    assert remove(database).summary == "Nothing is old enough to be removed."


def test_answered_commands_go_and_rows_of_an_original_installation_stay(database: Database) -> None:
    command(database, "old", OLD)
    command(database, "unanswered", None)
    command(database, "of somebody else", OLD, ours=False)
    assert counts(remove(database)) == {Kind.COMMANDS: 1}
    left = rows(database, "SELECT message_id FROM discord_tasks ORDER BY 1")
    assert left == [("of somebody else",), ("unanswered",)]
    assert rows(database, "SELECT count(*) FROM discord_answers") == [(1,)]


@pytest.mark.parametrize("state", ["sent", "rejected", "expired"])
def test_of_ended_proposals_the_text_goes_and_the_key_stays(database: Database, state: str) -> None:
    approval(database, "old", state, OLD)
    approval(database, "new", state, NEW)
    assert counts(remove(database)) == {Kind.APPROVAL_TEXTS: 1}
    assert rows(database, "SELECT key, body FROM approvals ORDER BY key") == [("new", "Text"), ("old", "")]


@pytest.mark.parametrize("state", ["pending", "approved", "failed", "unclear"])
def test_proposals_that_somebody_may_still_need_keep_their_text(database: Database, state: str) -> None:
    approval(database, "old", state, OLD)
    assert counts(remove(database)) == {}


def test_restarts_and_what_language_models_were_asked_go(database: Database) -> None:
    for at in (OLD, NEW):
        restart(database, f"{at:%Y}", at)
        exchange(database, f"{at:%Y}", at)
    assert counts(remove(database)) == {Kind.CONTAINER_RESTARTS: 1, Kind.LANGUAGE_MODEL: 1}
    assert rows(database, "SELECT name FROM container_restarts") == [("2026",)]
    assert rows(database, "SELECT job_id FROM language_model_exchanges") == [("2026",)]


@pytest.mark.parametrize(("kind", "table"), BY_DAY.items())
def test_whole_days_of_checks_and_metrics_go(database: Database, kind: Kind, table: str) -> None:
    for days in (100, 95, 1):
        database.partitions.ensure(table, NOW - timedelta(days=days), days_ahead=0)
    report = remove(database)
    assert counts(report) == {kind: 4}
    assert [row.unit for row in report.rows if row.count] == ["days"]
    assert len(database.partitions.list(table)) == 2


def test_a_dry_run_counts_the_same_and_removes_nothing(database: Database) -> None:
    makers: Sequence[Callable[[], None]] = [
        lambda: incident(database, "old", OLD),
        lambda: change(database, "old", OLD, told=True),
        lambda: anomaly(database, "old", OLD),
        lambda: mail(database, "old", OLD),
        lambda: command(database, "old", OLD),
        lambda: approval(database, "old", "sent", OLD),
        lambda: restart(database, "old", OLD),
        lambda: exchange(database, "old", OLD),
    ]
    for make in makers:
        make()
    for table in BY_DAY.values():
        database.partitions.ensure(table, OLD)
    told = counts(remove(database, dry_run=True))
    assert set(told) == {*BY_DAY, *BY_ROW}
    assert counts(remove(database, dry_run=True)) == told
    assert counts(remove(database)) == told
    assert counts(remove(database)) == {}


def test_a_row_that_somebody_holds_is_left_to_the_next_run(
    database: Database, database_settings: DatabaseSettings
) -> None:
    for number in range(25):
        restart(database, str(number), OLD)
    with db.connect(database_settings) as other, other.connection.transaction():
        other.connection.execute("SELECT * FROM container_restarts WHERE name = '7' FOR UPDATE")
        assert counts(remove(database, batch_rows=10)) == {Kind.CONTAINER_RESTARTS: 24}
    assert counts(remove(database, batch_rows=10)) == {Kind.CONTAINER_RESTARTS: 1}


def test_pictures_are_counted_as_the_store_of_pictures_removes_them(database: Database) -> None:
    for at in (OLD, OLD + timedelta(days=1), OLD + timedelta(days=2)):
        picture(database, "one", at, reference=at == OLD)
    picture(database, "one", OLD, taken=False)
    picture(database, "two", OLD)
    picture(database, "two", NEW)
    for keep in (0, 1, 2):
        told = database.retention.old_pictures(NOW - timedelta(days=30), keep)
        with database.connection.transaction(force_rollback=True):
            assert database.pictures.delete_before(NOW - timedelta(days=30), keep, 100) == told, keep
