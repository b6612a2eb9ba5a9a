-- What the status page shows. Only close_day writes; checks of closed days are never counted again.

-- name: first_check$
-- The time of the oldest check since a moment.
SELECT min(checked_at) FROM site_checks WHERE checked_at >= :since;

-- name: close_day!
-- Sum up a day that is over. The first who does it is right.
INSERT INTO site_days (site, day, checks, good, latency_ms)
SELECT site, :day::date, count(*), count(*) FILTER (WHERE ok), avg(latency_ms) FILTER (WHERE ok)
FROM site_checks
WHERE checked_at >= :start AND checked_at < :end AND NOT maintenance
GROUP BY site
ON CONFLICT ON CONSTRAINT site_days_key DO NOTHING;

-- name: forget_days!
-- Days that no page goes back to.
DELETE FROM site_days WHERE day < :before::date;

-- name: sites
-- Every site that was ever checked, as it stands.
SELECT name, target, state, since, checked_at, problem, status, latency_ms, certificate_expires_at
FROM site_states
ORDER BY name;

-- name: days
-- Closed days since one.
SELECT site, day::timestamp AT TIME ZONE 'UTC' AS start, checks, good
FROM site_days
WHERE day >= :since::date
ORDER BY site, day;

-- name: hours
-- The checks of each site by the UTC hour.
SELECT site, date_trunc('hour', checked_at, 'UTC') AS start, count(*) AS checks,
       count(*) FILTER (WHERE ok) AS good
FROM site_checks
WHERE checked_at >= :since AND NOT maintenance
GROUP BY site, start
ORDER BY site, start;

-- name: latencies
-- How long these sites took. A check without an answer has no latency: a gap.
SELECT site, checked_at AS at, latency_ms
FROM site_checks
WHERE site = ANY (:sites::text[]) AND checked_at >= :since
ORDER BY site, checked_at;

-- name: incidents
-- Incidents that go on or ended lately.
SELECT site, kind, severity, opened_at, closed_at, reason, ending
FROM site_incidents
WHERE closed_at IS NULL OR closed_at >= :since
ORDER BY closed_at IS NOT NULL, opened_at DESC, id DESC
LIMIT :limit::integer;

-- name: pictures
-- The newest picture of each site.
SELECT DISTINCT ON (site) site, taken_at, viewport, thumbnail_digest, changed_ratio, diff_thumbnail_digest, problem
FROM site_pictures
ORDER BY site, id DESC
LIMIT :limit::integer;

-- name: changes
-- What pages changed in what they say.
SELECT site, changed_at, summary, diff
FROM site_changes
WHERE changed_at >= :since
ORDER BY changed_at DESC, id DESC
LIMIT :limit::integer;

-- name: restarts
-- Restarts of containers.
SELECT engine, name, claimed_at, reason, outcome
FROM container_restarts
WHERE claimed_at >= :since
ORDER BY claimed_at DESC, id DESC
LIMIT :limit::integer;

-- name: hosts
-- What hosts used, the mean of every five minutes.
SELECT host, date_bin('5 minutes', at, '2000-01-01 00:00:00+00') AS at, avg(cpu_ratio) AS cpu_ratio,
       avg(memory_used_ratio) AS memory_used_ratio, avg(disk_used_ratio) AS disk_used_ratio
FROM host_metrics
WHERE at >= :since
GROUP BY host, 2
ORDER BY host, 2;

-- name: anomalies
-- Anomalies that go on or were seen lately, each with its most unusual point.
SELECT g.id, g.host, g.title, g.score, g.opened_at, g.last_at, g.closed_at, g.held, g.dismissed_at,
       a.series, a.subject, a.metric, a.at, a.value, a.expected
FROM anomaly_groups AS g
CROSS JOIN LATERAL (
    SELECT series, subject, metric, at, value, expected
    FROM anomalies WHERE group_id = g.id
    ORDER BY score DESC, abs(deviation) DESC, at
    LIMIT 1
) AS a
WHERE g.closed_at IS NULL OR g.last_at >= :since
ORDER BY g.closed_at IS NOT NULL, g.last_at DESC, g.id DESC
LIMIT :limit::integer;

-- name: host_points
-- The values of one metric of a host, the mean of every five minutes.
SELECT date_bin('5 minutes', at, '2000-01-01 00:00:00+00') AS at,
       avg((to_jsonb(m) ->> :metric::text)::double precision) AS value
FROM host_metrics AS m
WHERE host = :host AND at BETWEEN :start AND :end
GROUP BY 1
ORDER BY 1;

-- name: container_points
-- The values of one metric of a container, the mean of every five minutes.
SELECT date_bin('5 minutes', at, '2000-01-01 00:00:00+00') AS at,
       avg((to_jsonb(m) ->> :metric::text)::double precision) AS value
FROM container_metrics AS m
WHERE engine = :host AND name = :subject AND at BETWEEN :start AND :end
GROUP BY 1
ORDER BY 1;

-- name: site_points
-- The latencies of a site. A check without an answer has none.
SELECT checked_at AS at, latency_ms AS value
FROM site_checks
WHERE site = :subject AND checked_at BETWEEN :start AND :end
ORDER BY checked_at;
