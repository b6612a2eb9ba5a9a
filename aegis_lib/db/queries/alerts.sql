-- Statements over the outbox. Each claim is one conditional statement: zero rows means that somebody else acts.

-- name: count_occurrence!
-- Remember a sighting; zero rows when it was counted before.
INSERT INTO alert_occurrences (occurrence, seen_at) VALUES (:occurrence, :seen_at)
ON CONFLICT (occurrence) DO NOTHING;

-- name: raise_alert^
-- Open an alert, or count one more sighting of the open one; the newest text and the gravest severity stay.
INSERT INTO alerts AS a (key, severity, title, body, source, reason, lasting, own_reminders,
                         first_seen_at, last_seen_at)
VALUES (:key, :severity, :title, :body, :source, :reason, :lasting, :own_reminders, :seen_at, :seen_at)
ON CONFLICT (key) WHERE resolved_at IS NULL DO UPDATE
SET count = a.count + 1,
    revision = a.revision + 1,
    first_seen_at = least(a.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at),
    title = CASE WHEN excluded.last_seen_at >= a.last_seen_at THEN excluded.title ELSE a.title END,
    body = CASE WHEN excluded.last_seen_at >= a.last_seen_at THEN excluded.body ELSE a.body END,
    reason = CASE WHEN excluded.last_seen_at >= a.last_seen_at THEN excluded.reason ELSE a.reason END,
    again_at = CASE WHEN :again::boolean THEN :seen_at::timestamptz ELSE a.again_at END,
    openings = a.openings + CASE WHEN excluded.last_seen_at > a.calm_since THEN 1 ELSE 0 END,
    calm_since = CASE WHEN excluded.last_seen_at > a.calm_since THEN NULL ELSE a.calm_since END,
    severity = CASE
        WHEN 'critical' IN (a.severity, excluded.severity) THEN 'critical'
        WHEN 'warning' IN (a.severity, excluded.severity) THEN 'warning'
        ELSE 'info'
    END
RETURNING id, count;

-- name: resolve_alert^
-- The problem is over, unless it was seen later than that. One that flaps stays open, calm from now on.
UPDATE alerts
SET state = CASE WHEN flapping_at IS NULL OR :for_good::boolean THEN 'resolved' ELSE state END,
    resolved_at = CASE WHEN flapping_at IS NULL OR :for_good::boolean THEN :at::timestamptz END,
    calm_since = CASE WHEN flapping_at IS NOT NULL THEN coalesce(calm_since, :at::timestamptz) END,
    recovery_title = :title, recovery_body = :body,
    revision = revision + 1
WHERE key = :key AND resolved_at IS NULL AND last_seen_at <= :at
RETURNING id;

-- name: to_decide
-- Alerts that are not closed, and lasting ones that ended after `ended_after`: they may explain others.
SELECT a.*, s.suppressed, d.told, d.undelivered
FROM alerts AS a
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(f.title ORDER BY f.id), '{}') AS suppressed
    FROM alerts AS f WHERE f.suppressed_by = a.id
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT channel) FILTER (WHERE delivered_at IS NOT NULL), '{}') AS told,
           count(*) FILTER (WHERE delivered_at IS NULL AND (n.finished_at IS NULL OR refused_at IS NOT NULL))
               AS undelivered
    FROM alert_notices AS n JOIN alert_deliveries AS e ON e.notice_id = n.id
    WHERE n.alert_id = a.id
) AS d
WHERE a.closed_at IS NULL OR (a.lasting AND a.closed_at > :ended_after AND a.resolved_at > :ended_after)
ORDER BY a.id;

-- name: newest
-- The newest alerts: the open ones, or all.
SELECT a.*, s.suppressed, d.told, d.undelivered
FROM alerts AS a
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(f.title ORDER BY f.id), '{}') AS suppressed
    FROM alerts AS f WHERE f.suppressed_by = a.id
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT channel) FILTER (WHERE delivered_at IS NOT NULL), '{}') AS told,
           count(*) FILTER (WHERE delivered_at IS NULL AND (n.finished_at IS NULL OR refused_at IS NOT NULL))
               AS undelivered
    FROM alert_notices AS n JOIN alert_deliveries AS e ON e.notice_id = n.id
    WHERE n.alert_id = a.id
) AS d
WHERE (:id::bigint IS NULL OR a.id = :id::bigint)
  AND (:all::boolean OR a.closed_at IS NULL OR EXISTS (
      SELECT FROM alert_notices AS n WHERE n.alert_id = a.id AND n.finished_at IS NULL
  ))
ORDER BY a.last_seen_at DESC, a.id DESC
LIMIT :limit::integer;

-- name: open_keys
-- Keys of open alerts that begin so.
SELECT key FROM alerts WHERE resolved_at IS NULL AND starts_with(key, :prefix::text) ORDER BY key;

-- name: suppress!
-- Nobody is told of it: it follows from a root cause.
UPDATE alerts SET suppressed_by = :cause, revision = revision + 1
WHERE id = :id AND revision = :revision AND closed_at IS NULL;

-- name: close_alert!
-- Nothing is to be told any more.
UPDATE alerts
SET closed_at = :now, resolved_at = coalesce(resolved_at, :now), state = 'resolved', revision = revision + 1
WHERE id = :id AND revision = :revision AND closed_at IS NULL;

-- name: claim_notice!
-- Who gets the row tells people; a notice that is over or said once closes the alert.
UPDATE alerts
SET notified_at = coalesce(notified_at, :now),
    suppressed_by = NULL,
    reminded_at = CASE WHEN :kind = 'reminder' THEN :now::timestamptz ELSE reminded_at END,
    reminders = reminders + CASE WHEN :kind = 'reminder' THEN 1 ELSE 0 END,
    escalated_at = CASE WHEN :kind = 'escalation' THEN :now::timestamptz ELSE escalated_at END,
    flapping_at = CASE WHEN :kind = 'flapping' THEN :now::timestamptz ELSE flapping_at END,
    openings = CASE WHEN :kind = 'flapping' THEN :openings ELSE openings END,
    count = CASE WHEN :kind = 'flapping' THEN :count ELSE count END,
    first_seen_at = CASE WHEN :kind = 'flapping' THEN :first_seen_at::timestamptz ELSE first_seen_at END,
    state = CASE WHEN :kind = 'recovery' OR NOT lasting THEN 'resolved' ELSE state END,
    resolved_at = CASE
        WHEN :kind = 'recovery' THEN coalesce(resolved_at, calm_since, :now)
        WHEN lasting THEN resolved_at
        ELSE coalesce(resolved_at, :now)
    END,
    closed_at = CASE WHEN :kind = 'recovery' OR NOT lasting THEN :now::timestamptz END,
    revision = revision + 1
WHERE id = :id AND revision = :revision AND closed_at IS NULL;

-- name: overtake!
-- What was still to be told of an alert is overtaken by its recovery.
UPDATE alert_notices SET finished_at = :now WHERE alert_id = :alert_id AND finished_at IS NULL;

-- name: add_notice$
-- What people are to be told.
INSERT INTO alert_notices (alert_id, kind, number, severity, title, body, created_at)
SELECT :alert_id::bigint, :kind::text,
       (SELECT count(*) FROM alert_notices WHERE alert_id = :alert_id::bigint AND kind = :kind::text),
       :severity, :title, :body, :now
RETURNING id;

-- name: add_deliveries!
-- The channels that a notice is for.
INSERT INTO alert_deliveries (notice_id, channel) SELECT :notice_id, unnest(:channels::text[]);

-- name: due
-- Deliveries to be made now, on channels that are not left alone: critical ones first, then the least tried.
SELECT e.notice_id, n.alert_id, e.channel, n.kind, n.number, n.severity, a.severity AS alert_severity,
       n.title, n.body, n.created_at, e.attempts, e.parts_sent
FROM alert_notices AS n
JOIN alert_deliveries AS e ON e.notice_id = n.id
JOIN alerts AS a ON a.id = n.alert_id
LEFT JOIN alert_channels AS c ON c.channel = e.channel
WHERE n.finished_at IS NULL AND e.delivered_at IS NULL AND e.refused_at IS NULL
  AND (e.claimed_at IS NULL OR e.claimed_at <= :abandoned_before)
  AND (c.hold_until IS NULL OR c.hold_until <= :now)
ORDER BY a.severity <> 'critical', e.attempts, n.created_at, n.id, e.channel
LIMIT :limit::integer;

-- name: claim_delivery$
-- Who gets the row sends; the parts that are out already.
UPDATE alert_deliveries AS e SET claimed_at = :now, attempts = attempts + 1
FROM alert_notices AS n
WHERE e.notice_id = :notice_id AND e.channel = :channel AND n.id = e.notice_id
  AND n.finished_at IS NULL AND e.delivered_at IS NULL AND e.refused_at IS NULL
  AND (e.claimed_at IS NULL OR e.claimed_at <= :abandoned_before)
  AND NOT EXISTS (SELECT FROM alert_channels AS c WHERE c.channel = e.channel AND c.hold_until > :now)
RETURNING e.parts_sent;

-- name: delivered!
-- The channel has the whole notice.
UPDATE alert_deliveries
SET delivered_at = :now, claimed_at = NULL, parts_sent = :parts_sent, reference = :reference, problem = NULL
WHERE notice_id = :notice_id AND channel = :channel;

-- name: not_delivered!
-- The channel does not have the notice yet; with `refused_at` it never will.
UPDATE alert_deliveries
SET claimed_at = NULL, parts_sent = :parts_sent, problem = :problem, refused_at = :refused_at
WHERE notice_id = :notice_id AND channel = :channel AND delivered_at IS NULL;

-- name: finish_notice!
-- A notice of which no delivery is left is finished.
UPDATE alert_notices AS n SET finished_at = :now
WHERE n.id = :notice_id AND n.finished_at IS NULL AND NOT EXISTS (
    SELECT FROM alert_deliveries AS e
    WHERE e.notice_id = n.id AND e.delivered_at IS NULL AND e.refused_at IS NULL
);

-- name: mark_sent!
-- A channel has taken it.
UPDATE alerts SET state = 'sent', revision = revision + 1 WHERE id = :id AND state = 'pending';

-- name: channel_delivered!
-- The channel works.
INSERT INTO alert_channels (channel, delivered_at) VALUES (:channel, :now)
ON CONFLICT (channel) DO UPDATE
SET failures = 0, problem = NULL, hold_until = NULL, delivered_at = excluded.delivered_at;

-- name: channel_failed$
-- The channel failed once more; how often in a row.
INSERT INTO alert_channels AS c (channel, failures, problem) VALUES (:channel, 1, :problem)
ON CONFLICT (channel) DO UPDATE SET failures = c.failures + 1, problem = excluded.problem
RETURNING failures;

-- name: hold_channel!
-- Leave the channel alone for a while.
UPDATE alert_channels SET hold_until = :until WHERE channel = :channel;

-- name: channels
-- How each channel does.
SELECT channel, failures, problem, hold_until, delivered_at FROM alert_channels ORDER BY channel;

-- name: receipts
-- Every delivery of one alert, in the order of its notices.
SELECT e.notice_id, n.alert_id, e.channel, n.kind, n.number, n.severity, a.severity AS alert_severity,
       n.title, n.body, n.created_at, e.attempts, e.parts_sent, e.delivered_at, e.refused_at, e.reference,
       e.problem
FROM alert_notices AS n
JOIN alert_deliveries AS e ON e.notice_id = n.id
JOIN alerts AS a ON a.id = n.alert_id
WHERE n.alert_id = :alert_id
ORDER BY n.id, e.channel;

-- name: acknowledge
-- A person has it in hand, by its number or its key.
UPDATE alerts SET state = 'acknowledged', acknowledged_at = :now, acknowledged_by = :by, revision = revision + 1
WHERE resolved_at IS NULL AND state <> 'acknowledged'
  AND (id = :id::bigint OR key = :key::text)
RETURNING id;

-- name: dismiss!
-- A person has dealt with it: nothing is to be told any more of alerts whose key begins so.
UPDATE alerts
SET state = 'resolved', resolved_at = :now, closed_at = :now, acknowledged_at = coalesce(acknowledged_at, :now),
    revision = revision + 1
WHERE resolved_at IS NULL AND starts_with(key, :prefix::text);

-- name: backlog^
-- What waits: open alerts, deliveries to be made, deliveries given up in the last day.
SELECT (SELECT count(*) FROM alerts WHERE resolved_at IS NULL) AS open,
       count(*) FILTER (WHERE n.finished_at IS NULL AND e.refused_at IS NULL) AS undelivered,
       count(*) FILTER (WHERE e.refused_at > :since) AS given_up,
       min(n.created_at) FILTER (WHERE n.finished_at IS NULL AND e.refused_at IS NULL) AS oldest
FROM alert_notices AS n
JOIN alert_deliveries AS e ON e.notice_id = n.id AND e.delivered_at IS NULL
WHERE n.finished_at IS NULL OR e.refused_at > :since;

-- name: forget_occurrences!
-- Sightings older than any history that could show them again.
DELETE FROM alert_occurrences WHERE seen_at < :before;

-- name: forget_alerts!
-- Closed alerts of long ago, with their notices and receipts.
DELETE FROM alerts WHERE closed_at < :before;
