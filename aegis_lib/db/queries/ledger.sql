-- Statements over the ledger of runs: job_schedules, job_pauses, installation_presence, job_ledger, ledger_cases.

-- name: lock_plan$
-- Deploys write one after the other; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtext('aegis'), hashtext('job_schedules'));

-- name: schedules_in_force
-- The schedules that hold now.
SELECT job_id, slug, since, until, schedule, grace_seconds, longest_run_seconds, freshness_seconds,
       maintenance_windows
FROM job_schedules WHERE until IS NULL
ORDER BY job_id, slug;

-- name: schedules_since
-- Every version of a schedule that held at or after a moment.
SELECT job_id, slug, since, until, schedule, grace_seconds, longest_run_seconds, freshness_seconds,
       maintenance_windows
FROM job_schedules
WHERE until IS NULL OR until >= :start
ORDER BY job_id, slug, since;

-- name: schedules_of_job
-- The schedules of one job that hold now.
SELECT job_id, slug, since, until, schedule, grace_seconds, longest_run_seconds, freshness_seconds,
       maintenance_windows
FROM job_schedules WHERE until IS NULL AND job_id = :job_id
ORDER BY slug;

-- name: end_schedule!
-- A schedule holds no longer.
UPDATE job_schedules SET until = greatest(since, :now)
WHERE job_id = :job_id AND slug = :slug AND until IS NULL;

-- name: begin_schedule!
-- A schedule holds from now on. One that ended at this very moment is replaced.
INSERT INTO job_schedules
    (job_id, slug, since, schedule, grace_seconds, longest_run_seconds, freshness_seconds, maintenance_windows)
VALUES (:job_id, :slug, :now, :schedule::jsonb, :grace_seconds, :longest_run_seconds, :freshness_seconds,
        :maintenance_windows::jsonb)
ON CONFLICT (job_id, slug, since) DO UPDATE
SET until = NULL, schedule = excluded.schedule, grace_seconds = excluded.grace_seconds,
    longest_run_seconds = excluded.longest_run_seconds, freshness_seconds = excluded.freshness_seconds,
    maintenance_windows = excluded.maintenance_windows;

-- name: renew_limits!
-- The same schedule with other limits: no new version.
UPDATE job_schedules
SET grace_seconds = :grace_seconds, longest_run_seconds = :longest_run_seconds,
    freshness_seconds = :freshness_seconds, maintenance_windows = :maintenance_windows::jsonb
WHERE job_id = :job_id AND slug = :slug AND until IS NULL;

-- name: open_pause!
-- A pause was seen; it may have begun right after the last look.
INSERT INTO job_pauses (job_id, slug, since) VALUES (:job_id, :slug, :since)
ON CONFLICT DO NOTHING;

-- name: open_pauses
-- The pauses that go on.
SELECT job_id, slug, since, until FROM job_pauses WHERE until IS NULL;

-- name: end_pause!
-- A pause is over.
UPDATE job_pauses SET until = greatest(since, :now) WHERE job_id = :job_id AND slug = :slug AND until IS NULL;

-- name: pauses_since
-- Every pause that lasted at or after a moment.
SELECT job_id, slug, since, until FROM job_pauses WHERE until IS NULL OR until >= :start ORDER BY since;

-- name: lock_presence$
-- Signs of life are written one after the other; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtext('aegis'), hashtext('presence'));

-- name: last_presence^
-- The newest presence.
SELECT id, process, since, last_seen, stopped FROM installation_presence
ORDER BY last_seen DESC, id DESC LIMIT 1;

-- name: continue_presence!
-- The same process is still there.
UPDATE installation_presence SET last_seen = greatest(last_seen, :now) WHERE id = :id;

-- name: begin_presence!
-- Somebody is there.
INSERT INTO installation_presence (process, since, last_seen) VALUES (:process, :now, :now);

-- name: stop_presence!
-- It ends on purpose.
UPDATE installation_presence SET last_seen = greatest(last_seen, :now), stopped = true WHERE id = :id;

-- name: presences_since
-- Every presence at or after a moment, and the last one before it.
SELECT process, since, last_seen, stopped FROM installation_presence
WHERE last_seen >= coalesce(
    (SELECT max(last_seen) FROM installation_presence WHERE last_seen < :start), '-infinity'::timestamptz)
ORDER BY since, id;

-- name: record_entry!
-- Write what became of a tick. It only ever becomes more certain; a missed tick may get another reason.
INSERT INTO job_ledger AS l (job_id, slug, due_at, outcome, certainty, flow_run_id, accounted_at, detail)
VALUES (:job_id, :slug, :due_at, :outcome, :certainty, :flow_run_id, :now, :detail)
ON CONFLICT (job_id, slug, due_at) DO UPDATE
SET outcome = excluded.outcome, certainty = excluded.certainty, flow_run_id = excluded.flow_run_id,
    accounted_at = excluded.accounted_at, detail = excluded.detail
WHERE l.certainty < excluded.certainty
   OR (l.certainty = excluded.certainty AND l.certainty < 2 AND l.detail <> excluded.detail);

-- name: oldest_unsettled$
-- The oldest tick since a moment that is pending, or was missed since another one.
SELECT min(due_at) FROM job_ledger
WHERE due_at > :start AND (certainty = 0 OR (certainty = 1 AND due_at > :missed_since));

-- name: missed_with_run
-- Missed ticks that have a run on the server, which may still be taken.
SELECT job_id, slug, due_at, flow_run_id FROM job_ledger
WHERE certainty = 1 AND flow_run_id IS NOT NULL AND due_at > :start
ORDER BY due_at DESC
LIMIT :limit;

-- name: missed
-- Missed ticks since a moment, each with the first tick that happened at least `calm` later.
SELECT m.job_id, m.due_at, m.detail, g.due_at AS calm_at
FROM job_ledger AS m
LEFT JOIN LATERAL (
    SELECT min(due_at) AS due_at FROM job_ledger
    WHERE job_id = m.job_id AND due_at >= m.due_at + :calm::interval AND certainty >= 2
) AS g ON true
WHERE m.certainty = 1 AND m.outcome = 'Missed' AND m.due_at > :start
ORDER BY m.due_at, m.job_id;

-- name: lost
-- When ticks were due that an outage took.
SELECT due_at FROM job_ledger WHERE outcome = 'Outage' AND due_at > :start ORDER BY due_at;

-- name: turned_away
-- Jobs of which every run since the last that began was turned away, and none is under way.
SELECT l.job_id, count(*) AS ticks, min(l.due_at) AS first, max(l.due_at) AS last,
       (array_agg(l.outcome ORDER BY l.due_at DESC))[1] AS outcome
FROM job_ledger AS l
WHERE l.due_at > :start AND l.outcome = ANY (:turned_away::text[])
  AND NOT EXISTS (
      SELECT FROM job_ledger WHERE job_id = l.job_id AND due_at > l.due_at AND outcome = ANY (:ran::text[])
  )
GROUP BY l.job_id
HAVING max(l.due_at) > coalesce(
    (SELECT max(due_at) FROM job_ledger WHERE job_id = l.job_id AND certainty = 0), '-infinity'::timestamptz)
ORDER BY l.job_id;

-- name: counts
-- How many ticks of each job had each outcome, due after a moment and not after another.
SELECT job_id, outcome, count(*) AS ticks FROM job_ledger
WHERE due_at > :start AND due_at <= :end
GROUP BY job_id, outcome
ORDER BY job_id, outcome;

-- name: entries
-- Ticks of certain outcomes, of one job where given, newest first.
SELECT job_id, slug, due_at, outcome, flow_run_id, detail FROM job_ledger
WHERE due_at > :start AND due_at <= :end AND outcome = ANY (:outcomes::text[])
  AND (:job_id::text IS NULL OR job_id = :job_id::text)
ORDER BY due_at DESC, job_id, slug
LIMIT :limit;

-- name: claim_opening$
-- Claim the first message about a problem; who gets the row sends. An abandoned claim may be taken over, and a
-- case that was closed is opened anew when its problem goes on.
INSERT INTO ledger_cases AS c (key, kind, job_id, since, last_at, ticks, detail, opened_at, claimed_at)
VALUES (:key, :kind, :job_id, :since, :last_at, :ticks, :detail, :now, :now)
ON CONFLICT (key) DO UPDATE
SET claimed_at = :now, last_at = excluded.last_at, ticks = excluded.ticks, detail = excluded.detail,
    told_at = NULL, over_at = NULL, over_told_at = NULL
WHERE (c.told_at IS NULL AND (c.claimed_at IS NULL OR c.claimed_at <= :abandoned_before))
   OR (c.over_told_at IS NOT NULL AND NOT :over::boolean)
RETURNING key;

-- name: renew_case!
-- What is known of an open problem now.
UPDATE ledger_cases SET last_at = :last_at, ticks = :ticks, detail = :detail
WHERE key = :key AND over_at IS NULL;

-- name: claim_over$
-- Claim the message that a problem is over.
UPDATE ledger_cases SET claimed_at = :now, over_at = coalesce(over_at, :now)
WHERE key = :key AND told_at IS NOT NULL AND over_told_at IS NULL
  AND (claimed_at IS NULL OR claimed_at <= :abandoned_before)
RETURNING key;

-- name: told!
-- The message about the beginning is out; `over` where it also said that it is over.
UPDATE ledger_cases
SET told_at = :now, claimed_at = NULL,
    over_at = CASE WHEN :over::boolean THEN :now::timestamptz END,
    over_told_at = CASE WHEN :over::boolean THEN :now::timestamptz END
WHERE key = :key;

-- name: over_told!
-- The message about the end is out.
UPDATE ledger_cases SET over_told_at = :now, claimed_at = NULL WHERE key = :key;

-- name: release!
-- The message could not be delivered; the next pass tries again.
UPDATE ledger_cases SET claimed_at = NULL WHERE key = :key;

-- name: unfinished_cases
-- Problems of which not everything was said yet.
SELECT key, kind, job_id, since, last_at AS last, ticks, detail, told_at IS NOT NULL AS told
FROM ledger_cases
WHERE over_told_at IS NULL
ORDER BY since;

-- name: forget!
-- Forget what is older than the ledger goes back.
WITH ticks AS (DELETE FROM job_ledger WHERE due_at < :before RETURNING 1),
versions AS (DELETE FROM job_schedules WHERE until < :before RETURNING 1),
pauses AS (DELETE FROM job_pauses WHERE until < :before RETURNING 1),
cases AS (DELETE FROM ledger_cases WHERE over_told_at < :before RETURNING 1)
DELETE FROM installation_presence
WHERE last_seen < :before AND id <> (SELECT id FROM installation_presence ORDER BY last_seen DESC, id DESC LIMIT 1);
