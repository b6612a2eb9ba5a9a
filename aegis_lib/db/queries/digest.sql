-- Statements behind the morning status and the evening digest.
--
-- An event belongs to the window in which it arrived: the later of when it happened and when it was stored.
-- One that waited on a host while the database was away is thereby in exactly one digest, the next.

-- name: try_lock$
-- Be the one run that writes digests, until unlock or the end of the connection.
SELECT pg_try_advisory_lock(hashtext('aegis'), hashtext('digests'));

-- name: unlock$
-- Let the next run write.
SELECT pg_advisory_unlock(hashtext('aegis'), hashtext('digests'));

-- name: unfinished^
-- The digest that was claimed and not finished.
SELECT id, window_start, window_end, post_claimed_at
FROM digests
WHERE finished_at IS NULL
ORDER BY window_start
LIMIT 1;

-- name: claim_window^
-- Claim the time since the last digest; no row when the last one ends now or later.
INSERT INTO digests (window_start, window_end, claimed_at)
SELECT start, :now::timestamptz, :now::timestamptz
FROM (SELECT coalesce(max(window_end), :first_start::timestamptz) AS start FROM digests) AS last
WHERE start < :now::timestamptz
ON CONFLICT DO NOTHING
RETURNING id, window_start, window_end, post_claimed_at;

-- name: claim_post!
-- Claim the one posting of a digest.
UPDATE digests SET post_claimed_at = :at WHERE id = :id::bigint AND post_claimed_at IS NULL;

-- name: release_post!
-- Give the claim back: it is known that nothing was posted.
UPDATE digests SET post_claimed_at = NULL WHERE id = :id::bigint AND finished_at IS NULL;

-- name: finish!
-- The digest is done.
UPDATE digests SET finished_at = :at, journal_path = :journal_path WHERE id = :id::bigint;

-- name: arrived_events^
-- How many events arrived in a window; `others` leaves out the reports that these jobs themselves record.
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE importance = 'critical') AS critical,
    count(*) FILTER (WHERE event_type <> ALL (:own_types::text[])) AS others
FROM episodic_memory
WHERE greatest(timestamp, created_at) >= :start AND greatest(timestamp, created_at) < :end;

-- name: arrived_critical
-- The newest critical events of a window, and how many there are.
SELECT coalesce(timestamp, created_at) AS timestamp, event_type, summary, decision, count(*) OVER () AS total
FROM episodic_memory
WHERE greatest(timestamp, created_at) >= :start AND greatest(timestamp, created_at) < :end
    AND importance = 'critical'
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: arrived_decisions
-- The newest events of a window that decided something, and how many there are.
SELECT coalesce(timestamp, created_at) AS timestamp, event_type, summary, decision, count(*) OVER () AS total
FROM episodic_memory
WHERE greatest(timestamp, created_at) >= :start AND greatest(timestamp, created_at) < :end
    AND (event_type = 'decision' OR trim(decision) <> '')
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: arrived_errors
-- The newest events of a window whose type speaks of an error, and how many there are.
SELECT coalesce(timestamp, created_at) AS timestamp, event_type, summary, decision, count(*) OVER () AS total
FROM episodic_memory
WHERE greatest(timestamp, created_at) >= :start AND greatest(timestamp, created_at) < :end
    AND event_type ~ '(^|_)(error|failed|failure|crash|crashed|outage)($|_)'
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: events_between^
-- How many events happened in [start, end), whenever they were stored.
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE importance = 'critical') AS critical,
    count(*) FILTER (WHERE event_type <> ALL (:own_types::text[])) AS others
FROM episodic_memory
WHERE timestamp >= :start AND timestamp < :end;

-- name: tasks_between^
-- What happened to tasks in [start, end).
SELECT
    count(*) FILTER (WHERE created_at >= :start AND created_at < :end) AS created,
    count(*) FILTER (WHERE status = 'completed' AND completed_at >= :start AND completed_at < :end) AS completed,
    count(*) FILTER (WHERE status = 'failed' AND completed_at >= :start AND completed_at < :end) AS failed
FROM tasks;
