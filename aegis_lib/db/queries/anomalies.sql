-- Statements over what detectors remember, unusual points, their groups and lessons; and the series to be judged.

-- name: host_points
-- The series of hosts in [since, until), as means of `step` from its beginning on; what is not known is left out.
-- Of one host where given.
SELECT m.host, one.metric, m.bin AS at, one.value
FROM (
    SELECT host, date_bin(:step::interval, at, 'epoch') AS bin,
        avg(cpu_ratio) AS cpu_ratio,
        avg(cpu_iowait_ratio) AS cpu_iowait_ratio,
        avg(cpu_steal_ratio) AS cpu_steal_ratio,
        avg(load_1m) AS load_1m,
        avg(memory_used_ratio) AS memory_used_ratio,
        avg(memory_available_bytes) AS memory_available_bytes,
        avg(swap_used_ratio) AS swap_used_ratio,
        avg(disk_used_ratio) AS disk_used_ratio,
        avg(disk_busy_ratio) AS disk_busy_ratio,
        avg(network_errors_per_second) AS network_errors_per_second,
        avg(disk_read_bytes_per_second) AS disk_read_bytes_per_second,
        avg(disk_written_bytes_per_second) AS disk_written_bytes_per_second,
        avg(network_received_bytes_per_second) AS network_received_bytes_per_second,
        avg(network_sent_bytes_per_second) AS network_sent_bytes_per_second,
        avg(processes) AS processes
    FROM host_metrics
    WHERE at >= :since AND at < :until AND (:host::text IS NULL OR host = :host::text)
    GROUP BY host, bin
) AS m
CROSS JOIN LATERAL (VALUES
    ('cpu_ratio', m.cpu_ratio::double precision),
    ('cpu_iowait_ratio', m.cpu_iowait_ratio::double precision),
    ('cpu_steal_ratio', m.cpu_steal_ratio::double precision),
    ('load_1m', m.load_1m::double precision),
    ('memory_used_ratio', m.memory_used_ratio::double precision),
    ('memory_available_bytes', m.memory_available_bytes::double precision),
    ('swap_used_ratio', m.swap_used_ratio::double precision),
    ('disk_used_ratio', m.disk_used_ratio::double precision),
    ('disk_busy_ratio', m.disk_busy_ratio::double precision),
    ('network_errors_per_second', m.network_errors_per_second::double precision),
    ('disk_read_bytes_per_second', m.disk_read_bytes_per_second::double precision),
    ('disk_written_bytes_per_second', m.disk_written_bytes_per_second::double precision),
    ('network_received_bytes_per_second', m.network_received_bytes_per_second::double precision),
    ('network_sent_bytes_per_second', m.network_sent_bytes_per_second::double precision),
    ('processes', m.processes::double precision)
) AS one (metric, value)
WHERE one.value IS NOT NULL
ORDER BY m.host, one.metric, m.bin;

-- name: container_points
-- The series of containers, as `host_points`, with the image that was the last to run in that stretch.
SELECT m.engine, m.name, m.image, one.metric, m.bin AS at, one.value
FROM (
    SELECT engine, name, date_bin(:step::interval, at, 'epoch') AS bin,
        (array_agg(image ORDER BY at DESC))[1] AS image,
        avg(cpu_cores) AS cpu_cores,
        avg(cpu_throttled_ratio) AS cpu_throttled_ratio,
        avg(memory_bytes) AS memory_bytes,
        avg(memory_ratio) AS memory_ratio,
        avg(disk_read_bytes_per_second) AS disk_read_bytes_per_second,
        avg(disk_written_bytes_per_second) AS disk_written_bytes_per_second,
        avg(network_received_bytes_per_second) AS network_received_bytes_per_second,
        avg(network_sent_bytes_per_second) AS network_sent_bytes_per_second,
        avg(processes) AS processes
    FROM container_metrics
    WHERE at >= :since AND at < :until AND (:host::text IS NULL OR engine = :host::text)
        AND (:subject::text IS NULL OR name = :subject::text)
    GROUP BY engine, name, bin
) AS m
CROSS JOIN LATERAL (VALUES
    ('cpu_cores', m.cpu_cores::double precision),
    ('cpu_throttled_ratio', m.cpu_throttled_ratio::double precision),
    ('memory_bytes', m.memory_bytes::double precision),
    ('memory_ratio', m.memory_ratio::double precision),
    ('disk_read_bytes_per_second', m.disk_read_bytes_per_second::double precision),
    ('disk_written_bytes_per_second', m.disk_written_bytes_per_second::double precision),
    ('network_received_bytes_per_second', m.network_received_bytes_per_second::double precision),
    ('network_sent_bytes_per_second', m.network_sent_bytes_per_second::double precision),
    ('processes', m.processes::double precision)
) AS one (metric, value)
WHERE one.value IS NOT NULL
ORDER BY m.engine, m.name, one.metric, m.bin;

-- name: site_points
-- The latencies of sites that answered as they should, outside maintenance; as `host_points`.
SELECT site, date_bin(:step::interval, checked_at, 'epoch') AS at, avg(latency_ms)::double precision AS value
FROM site_checks
WHERE checked_at >= :since AND checked_at < :until AND ok AND NOT maintenance AND latency_ms IS NOT NULL
    AND (:subject::text IS NULL OR site = :subject::text)
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: earliest_sample$
-- When the oldest sample since a time was taken.
SELECT least(
    (SELECT min(at) FROM host_metrics WHERE at >= :since),
    (SELECT min(at) FROM container_metrics WHERE at >= :since),
    (SELECT min(checked_at) FROM site_checks WHERE checked_at >= :since)
);

-- name: series
-- What is remembered of some series.
SELECT series, deployment, state, seen_until, points, warming_up
FROM anomaly_series WHERE series = ANY(:names);

-- name: save_series
-- Remember what was learned of some series, given as a JSON list with states in base64. A series that was judged further than `before`
-- by somebody else is left alone and does not come back.
WITH given AS (
    SELECT * FROM json_to_recordset(:given::json) AS one (
        series text, host text, subject text, metric text, deployment text, state text, seen_until timestamptz,
        points bigint, warming_up boolean, before timestamptz
    )
), made AS (
    INSERT INTO anomaly_series (series, host, subject, metric, deployment, state, seen_until, points, warming_up)
    SELECT series, host, subject, metric, deployment, decode(state, 'base64'), seen_until, points, warming_up
    FROM given WHERE before IS NULL
    ON CONFLICT (series) DO NOTHING
    RETURNING series
), renewed AS (
    UPDATE anomaly_series AS s
    SET deployment = given.deployment, state = decode(given.state, 'base64'), seen_until = given.seen_until,
        points = given.points, warming_up = given.warming_up
    FROM given
    WHERE s.series = given.series AND s.seen_until = given.before
    RETURNING s.series
)
SELECT series FROM made UNION ALL SELECT series FROM renewed;

-- name: forget_series!
-- Series that nothing was measured of since a time.
DELETE FROM anomaly_series WHERE seen_until < :before;

-- name: forget_lessons!
-- Lessons that have not held since a time.
DELETE FROM anomaly_lessons WHERE expires_at < :before;

-- name: warming_up$
-- How many series are still being learned.
SELECT count(*) FROM anomaly_series WHERE warming_up;

-- name: lessons
-- What people said of some series and that still holds.
SELECT series, above, value, expires_at FROM anomaly_lessons
WHERE series = ANY(:names) AND expires_at > :now;

-- name: open_groups
-- Groups that are not closed, the oldest first.
SELECT * FROM anomaly_groups WHERE closed_at IS NULL ORDER BY id;

-- name: open_points
-- The first unusual point of each series in an open group.
SELECT DISTINCT ON (a.series) a.series, a.host, a.subject, a.metric, a.at, a.score, a.value, a.expected, a.low,
    a.high, a.deviation, a.known
FROM anomalies AS a JOIN anomaly_groups AS g ON g.id = a.group_id AND g.closed_at IS NULL
ORDER BY a.series, a.at;

-- name: open_group$
-- Open a group; if one of that host and cause was opened meanwhile, that one.
INSERT INTO anomaly_groups AS g (host, cause, title, subjects, families, score, opened_at, last_at, held)
VALUES (:host, :cause, :title, :subjects, :families, :score, :opened_at, :last_at, :held)
ON CONFLICT (host, cause) WHERE closed_at IS NULL DO UPDATE SET last_at = greatest(g.last_at, excluded.last_at)
RETURNING id;

-- name: extend_group!
-- More points for a group that is open. One that no lesson covers makes it news again.
UPDATE anomaly_groups AS g
SET last_at = greatest(last_at, :last_at), score = greatest(score, :score),
    subjects = ARRAY(SELECT DISTINCT unnest(subjects || :subjects::text[]) ORDER BY 1),
    families = ARRAY(SELECT DISTINCT unnest(families || :families::text[]) ORDER BY 1),
    held = CASE WHEN :news AND held = 'lesson' THEN NULL ELSE held END
WHERE id = :id AND closed_at IS NULL;

-- name: add_point!
-- One unusual point; the same one again changes nothing.
INSERT INTO anomalies (
    group_id, series, host, subject, metric, at, score, value, expected, low, high, deviation, known
) VALUES (
    :group_id, :series, :host, :subject, :metric, :at, :score, :value, :expected, :low, :high, :deviation, :known
) ON CONFLICT (series, at) DO NOTHING;

-- name: close_group!
-- Nothing was unusual for long enough.
UPDATE anomaly_groups SET closed_at = :closed_at WHERE id = :id AND last_at = :last_at AND closed_at IS NULL;

-- name: claim_alert!
-- Who gets the row tells people, while fewer than `budget` were told of since `budget_since`.
UPDATE anomaly_groups AS g SET claimed_at = :now, held = NULL
WHERE id = :id AND closed_at IS NULL AND alerted_at IS NULL
  AND (claimed_at IS NULL OR claimed_at <= :abandoned_before)
  AND (
      SELECT count(*) FROM anomaly_groups AS other
      WHERE other.id <> g.id AND coalesce(other.alerted_at, other.claimed_at) > :budget_since
  ) < :budget;

-- name: alerts_since$
-- How many groups people were told of, or are being told of, since a time.
SELECT count(*) FROM anomaly_groups WHERE coalesce(alerted_at, claimed_at) > :since;

-- name: alerted!
-- People were told; the claim on the message ends.
UPDATE anomaly_groups SET alerted_at = :now, claimed_at = NULL WHERE id = :id;

-- name: hold!
-- People are not told, and why.
UPDATE anomaly_groups SET held = :held::text
WHERE id = :id AND alerted_at IS NULL AND claimed_at IS NULL AND held IS DISTINCT FROM :held::text;

-- name: ended_untold
-- Groups that are over, of which people were told, and not of the end.
SELECT * FROM anomaly_groups
WHERE closed_at IS NOT NULL AND alerted_at IS NOT NULL AND end_told_at IS NULL ORDER BY id;

-- name: claim_end!
-- Who gets the row says that it is over.
UPDATE anomaly_groups SET claimed_at = :now
WHERE id = :id AND end_told_at IS NULL AND (claimed_at IS NULL OR claimed_at <= :abandoned_before);

-- name: end_told!
-- People know that it is over; the claim on the message ends.
UPDATE anomaly_groups SET end_told_at = :now, claimed_at = NULL WHERE id = :id;

-- name: release!
-- The message could not be delivered; the next scan tries again.
UPDATE anomaly_groups SET claimed_at = NULL WHERE id = :id;

-- name: points_of_group
-- The unusual points of a group, the oldest first.
SELECT series, host, subject, metric, at, score, value, expected, low, high, deviation, known
FROM anomalies WHERE group_id = :id ORDER BY at, series;

-- name: groups
-- Groups for people, the newest first; only open ones, or what was unusual since a time.
SELECT * FROM anomaly_groups
WHERE (closed_at IS NULL OR last_at >= :since) AND (:held OR held IS NULL OR held <> 'lesson')
ORDER BY last_at DESC, id DESC LIMIT :limit;

-- name: group^
-- One group.
SELECT * FROM anomaly_groups WHERE id = :id;

-- name: dismiss!
-- A person said that it is no news; zero rows: that was said before, or there is no such group.
UPDATE anomaly_groups
SET dismissed_at = :now, dismissed_by = :by, note = :note, closed_at = coalesce(closed_at, :now)
WHERE id = :id AND dismissed_at IS NULL;

-- name: learn!
-- One lesson for each series of a group and each side, with the farthest value that was dismissed.
INSERT INTO anomaly_lessons (group_id, series, above, value, learned_at, expires_at)
SELECT group_id, series, value >= expected,
       CASE WHEN value >= expected THEN max(value) ELSE min(value) END,
       :now, :expires_at
FROM anomalies WHERE group_id = :id AND expected IS NOT NULL
GROUP BY group_id, series, value >= expected
ON CONFLICT (group_id, series, above) DO NOTHING;

-- name: lessons_for_people
-- What holds now, the newest first.
SELECT id, group_id, series, above, value, learned_at, expires_at FROM anomaly_lessons
WHERE expires_at > :now ORDER BY learned_at DESC, id DESC;

-- name: unlearn!
-- Forget one lesson.
DELETE FROM anomaly_lessons WHERE id = :id;
