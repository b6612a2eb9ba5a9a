-- Statements over `container_strikes` (open cases) and `container_restarts`.
-- Each claim is one conditional statement: zero rows means that somebody else acts.

-- name: open_cases
-- Open cases with what is known of their restarts; of one engine and one name where given.
SELECT s.engine, s.name, s.container_id, s.strikes, s.reason, s.first_strike_at, s.last_strike_at,
       s.healthy_cycles, s.last_healthy_at, s.quarantined_at, s.notice_claimed_at, s.escalated_at,
       s.reminded_at, s.recovered_at, r.attempts, r.restarts_today, r.last_restart_at, r.last_restart_outcome
FROM container_strikes AS s
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE case_started_at = s.first_strike_at) AS attempts,
           count(*) FILTER (WHERE claimed_at > :budget_since AND NOT forgiven) AS restarts_today,
           max(claimed_at) FILTER (WHERE case_started_at = s.first_strike_at) AS last_restart_at,
           (array_agg(outcome ORDER BY attempt DESC)
               FILTER (WHERE case_started_at = s.first_strike_at))[1] AS last_restart_outcome
    FROM container_restarts
    WHERE engine = s.engine AND name = s.name
) AS r
WHERE (:engine::text IS NULL OR s.engine = :engine::text) AND (:name::text IS NULL OR s.name = :name::text)
ORDER BY s.engine, s.name;

-- name: claim_strike$
-- Count a strike, once per interval; another container under the name, or a case that had recovered, starts anew.
INSERT INTO container_strikes AS s
    (engine, name, container_id, strikes, reason, first_strike_at, last_strike_at)
VALUES (:engine, :name, :container_id, 1, :reason, :now, :now)
ON CONFLICT (engine, name) DO UPDATE
SET (container_id, strikes, reason, first_strike_at, last_strike_at, healthy_cycles, last_healthy_at,
     quarantined_at, notice_claimed_at, escalated_at, reminded_at, recovered_at) = (
    SELECT excluded.container_id,
           CASE WHEN same THEN s.strikes + 1 ELSE 1 END,
           excluded.reason,
           CASE WHEN same THEN s.first_strike_at ELSE excluded.first_strike_at END,
           excluded.last_strike_at,
           0,
           CASE WHEN same THEN s.last_healthy_at END,
           CASE WHEN same THEN s.quarantined_at END,
           CASE WHEN same THEN s.notice_claimed_at END,
           CASE WHEN same THEN s.escalated_at END,
           CASE WHEN same THEN s.reminded_at END,
           NULL::timestamptz
    FROM (SELECT s.container_id = excluded.container_id AND s.recovered_at IS NULL AS same) AS compared
)
WHERE s.container_id <> excluded.container_id OR s.recovered_at IS NOT NULL OR s.last_strike_at <= :counted_before
RETURNING s.strikes;

-- name: claim_restart$
-- Claim a restart within the budget; an attempt whose process died before `abandoned_before` is marked so.
WITH abandoned AS (
    UPDATE container_restarts
    SET outcome = 'interrupted', finished_at = :now
    WHERE engine = :engine AND name = :name AND case_started_at = :case_started_at
      AND outcome IS NULL AND claimed_at <= :abandoned_before
)
INSERT INTO container_restarts (engine, name, container_id, case_started_at, attempt, reason, claimed_at)
SELECT s.engine, s.name, s.container_id, s.first_strike_at, :attempt, s.reason, :now
FROM container_strikes AS s
WHERE s.engine = :engine AND s.name = :name AND s.container_id = :container_id
  AND s.first_strike_at = :case_started_at AND s.quarantined_at IS NULL
  AND (
      SELECT count(*) FROM container_restarts AS r
      WHERE r.engine = s.engine AND r.name = s.name AND r.claimed_at > :budget_since AND NOT r.forgiven
  ) < :budget
ON CONFLICT (engine, name, case_started_at, attempt) DO NOTHING
RETURNING id;

-- name: finish_restart!
-- Write down what came of a restart.
UPDATE container_restarts
SET outcome = :outcome::text, finished_at = :now,
    verified_at = CASE WHEN :outcome::text = 'verified' THEN :now::timestamptz END
WHERE id = :id;

-- name: quarantine!
-- No more restarts in this case.
UPDATE container_strikes SET quarantined_at = :now
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at AND quarantined_at IS NULL;

-- name: claim_escalation!
-- Who gets the row calls the human.
UPDATE container_strikes SET notice_claimed_at = :now
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at AND escalated_at IS NULL
  AND (notice_claimed_at IS NULL OR notice_claimed_at <= :abandoned_before);

-- name: claim_reminder!
-- Who gets the row reminds; `told_at` is the message after which the reminder is due.
UPDATE container_strikes SET notice_claimed_at = :now
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at
  AND coalesce(reminded_at, escalated_at) = :told_at
  AND (notice_claimed_at IS NULL OR notice_claimed_at <= :abandoned_before);

-- name: claim_recovery!
-- Who gets the row says that the container is well again.
UPDATE container_strikes SET notice_claimed_at = :now
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at AND recovered_at IS NOT NULL
  AND (notice_claimed_at IS NULL OR notice_claimed_at <= :abandoned_before);

-- name: escalation_delivered!
-- The human was called; the claim on the message ends.
UPDATE container_strikes SET escalated_at = :now, notice_claimed_at = NULL
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at;

-- name: reminder_delivered!
-- The human was reminded; the claim on the message ends.
UPDATE container_strikes SET reminded_at = :now, notice_claimed_at = NULL
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at;

-- name: release_notice!
-- The message could not be delivered; the next cycle tries again.
UPDATE container_strikes SET notice_claimed_at = NULL
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at;

-- name: count_healthy$
-- Count a healthy cycle, once per interval.
UPDATE container_strikes SET healthy_cycles = healthy_cycles + 1, last_healthy_at = :now
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at
  AND (last_healthy_at IS NULL OR last_healthy_at <= :counted_before)
RETURNING healthy_cycles;

-- name: sick_again!
-- Healthy cycles count only in a row.
UPDATE container_strikes SET healthy_cycles = 0
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at AND healthy_cycles > 0;

-- name: mark_recovered!
-- Well again, and people who were called are to be told.
UPDATE container_strikes SET recovered_at = :now, notice_claimed_at = NULL
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at AND recovered_at IS NULL;

-- name: close_case!
-- The case is over.
DELETE FROM container_strikes
WHERE engine = :engine AND name = :name AND first_strike_at = :case_started_at;

-- name: acknowledge
-- A human looked at it: forget the strikes and forgive the restarts; of one engine where given.
WITH closed AS (
    DELETE FROM container_strikes
    WHERE name = :name AND (:engine::text IS NULL OR engine = :engine::text)
    RETURNING engine, name
),
forgiven AS (
    UPDATE container_restarts AS r SET forgiven = true
    FROM closed AS c
    WHERE r.engine = c.engine AND r.name = c.name AND NOT r.forgiven
)
SELECT engine FROM closed ORDER BY engine;
