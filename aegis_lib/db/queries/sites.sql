-- Statements over `site_states`, `site_checks`, `site_incidents`, `site_contents` and `site_changes`.
-- Each claim is one conditional statement: zero rows means that somebody else acts.

-- name: standings
-- How every site stands.
SELECT name, target, state, since, checked_at, failures, successes, history, slow_history, failing_since, problem,
       status, latency_ms, certificate_expires_at, tags
FROM site_states
ORDER BY name;

-- name: record_states
-- Keep how sites stand after a check, where nobody checked them since; the names of those.
INSERT INTO site_states AS s
    (name, target, state, since, checked_at, failures, successes, history, slow_history, failing_since, problem,
     status, latency_ms, certificate_expires_at, tags)
SELECT n.name, n.target, n.state, n.since, n.checked_at, n.failures, n.successes, n.history, n.slow_history,
       n.failing_since, n.problem, n.status, n.latency_ms, n.certificate_expires_at, n.tags
FROM jsonb_to_recordset(:rows::jsonb) AS n (
    name text, target text, state text, since timestamptz, checked_at timestamptz, failures integer,
    successes integer, history text, slow_history text, failing_since timestamptz, problem text, status integer,
    latency_ms real, certificate_expires_at timestamptz, tags text[], before timestamptz
)
ORDER BY n.name
ON CONFLICT (name) DO UPDATE
SET (target, state, since, checked_at, failures, successes, history, slow_history, failing_since, problem, status,
     latency_ms, certificate_expires_at, tags) =
    (excluded.target, excluded.state, excluded.since, excluded.checked_at, excluded.failures, excluded.successes,
     excluded.history, excluded.slow_history, excluded.failing_since, excluded.problem, excluded.status,
     excluded.latency_ms, excluded.certificate_expires_at, excluded.tags)
WHERE s.checked_at = (
    SELECT b.before FROM jsonb_to_recordset(:rows::jsonb) AS b (name text, before timestamptz)
    WHERE b.name = s.name
)
RETURNING s.name;

-- name: record_checks!
-- Keep checks, each once.
INSERT INTO site_checks
    (site, checked_at, ok, maintenance, attempts, status, problem, latency_ms, dns_ms, connect_ms, tls_ms,
     first_byte_ms, total_ms, size_bytes, http_version, address)
SELECT n.site, n.checked_at, n.ok, n.maintenance, n.attempts, n.status, n.problem, n.latency_ms, n.dns_ms,
       n.connect_ms, n.tls_ms, n.first_byte_ms, n.total_ms, n.size_bytes, n.http_version, n.address
FROM jsonb_to_recordset(:rows::jsonb) AS n (
    site text, checked_at timestamptz, ok boolean, maintenance boolean, attempts smallint, status integer,
    problem text, latency_ms real, dns_ms real, connect_ms real, tls_ms real, first_byte_ms real, total_ms real,
    size_bytes bigint, http_version text, address text
)
ON CONFLICT (site, checked_at) DO NOTHING;

-- name: close_incidents!
-- End what goes on; what has ended stays as it is.
UPDATE site_incidents AS i
SET closed_at = greatest(n.at, i.opened_at), ending = n.ending
FROM jsonb_to_recordset(:rows::jsonb) AS n (site text, kind text, ending text, at timestamptz)
WHERE i.site = n.site AND i.kind = n.kind AND i.closed_at IS NULL;

-- name: open_incidents!
-- Begin incidents, unless one of that kind goes on for the site.
INSERT INTO site_incidents (site, kind, severity, opened_at, reason)
SELECT n.site, n.kind, n.severity, n.at, n.reason
FROM jsonb_to_recordset(:rows::jsonb) AS n (site text, kind text, severity text, reason text, at timestamptz)
ORDER BY n.site, n.kind
ON CONFLICT (site, kind) WHERE closed_at IS NULL DO NOTHING;

-- name: going_on
-- Incidents that go on, the oldest first.
SELECT id, site, kind, severity, opened_at, closed_at, reason, ending, alert_key, opening_told_at, reminded_at,
       closing_told_at
FROM site_incidents
WHERE closed_at IS NULL
ORDER BY opened_at, id;

-- name: forget_states
-- Forget the sites that are not among these; which they were.
DELETE FROM site_states WHERE NOT name = ANY(:names::text[]) RETURNING name;

-- name: close_incidents_of_others!
-- End what goes on for sites that are not among these.
UPDATE site_incidents SET closed_at = greatest(:now::timestamptz, opened_at), ending = :ending
WHERE closed_at IS NULL AND NOT site = ANY(:names::text[]);

-- name: forget_contents!
-- Forget what the pages of sites that are not among these said.
DELETE FROM site_contents WHERE NOT site = ANY(:names::text[]);

-- name: claim_news
-- Who gets the rows tells people: of beginnings, of ends, and again of what goes on.
WITH wanted AS (
    SELECT id FROM site_incidents
    WHERE (opening_told_at IS NULL OR (closed_at IS NOT NULL AND closing_told_at IS NULL)
           OR (closed_at IS NULL AND coalesce(reminded_at, opening_told_at) <= :reminded_before::timestamptz))
      AND (notice_claimed_at IS NULL OR notice_claimed_at <= :abandoned_before::timestamptz)
    ORDER BY id
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE site_incidents AS i SET notice_claimed_at = :now
    FROM wanted AS w
    WHERE i.id = w.id
    RETURNING i.*
)
SELECT c.id, c.site, c.kind, c.severity, c.opened_at, c.closed_at, c.reason, c.ending, c.alert_key,
       c.opening_told_at, c.reminded_at, c.closing_told_at,
       (SELECT count(*) FROM site_incidents AS o
        WHERE o.alert_key = c.alert_key AND o.id <> c.id AND o.closed_at IS NULL) AS shared
FROM claimed AS c
ORDER BY c.opened_at, c.id;

-- name: opening_told!
-- People know that these began, under that alert.
UPDATE site_incidents
SET opening_told_at = :now, alert_key = :alert_key::text, notice_claimed_at = NULL,
    closing_told_at = CASE WHEN :alert_key::text IS NULL THEN :now::timestamptz ELSE closing_told_at END
WHERE id = ANY(:ids::bigint[]) AND opening_told_at IS NULL;

-- name: reminded!
-- People were reminded of these.
UPDATE site_incidents SET reminded_at = :now, notice_claimed_at = NULL WHERE id = ANY(:ids::bigint[]);

-- name: closing_told!
-- People know that these are over.
UPDATE site_incidents SET closing_told_at = :now, notice_claimed_at = NULL
WHERE id = ANY(:ids::bigint[]) AND closed_at IS NOT NULL;

-- name: release!
-- The message could not be delivered; the next run tries again.
UPDATE site_incidents SET notice_claimed_at = NULL WHERE id = ANY(:ids::bigint[]);

-- name: contents
-- What these sites' pages said last.
SELECT site, page FROM site_contents WHERE site = ANY(:names::text[]);

-- name: keep_content!
-- Keep what a page says now, unless it is no longer what it was compared with; nothing it said before is ''.
INSERT INTO site_contents AS c (site, page, digest, seen_at, changed_at)
VALUES (:site, :page, :digest, :now, CASE WHEN :changed::boolean THEN :now::timestamptz END)
ON CONFLICT (site) DO UPDATE
SET page = excluded.page, digest = excluded.digest, seen_at = excluded.seen_at,
    changed_at = coalesce(excluded.changed_at, c.changed_at)
WHERE c.digest = :before OR :before = '';

-- name: add_change$
-- Keep a change of a page.
INSERT INTO site_changes (site, changed_at, summary, diff, significance)
VALUES (:site, :now, :summary, :diff, :significance)
RETURNING id;

-- name: claim_changes
-- Who gets the rows tells people of the changes.
UPDATE site_changes AS c SET notice_claimed_at = :now
FROM (
    SELECT id FROM site_changes
    WHERE told_at IS NULL AND (notice_claimed_at IS NULL OR notice_claimed_at <= :abandoned_before::timestamptz)
    ORDER BY id LIMIT 100
    FOR UPDATE SKIP LOCKED
) AS w
WHERE c.id = w.id
RETURNING c.id, c.site, c.changed_at, c.summary, c.diff, c.significance, c.told_at;

-- name: change_told!
-- People know of the change.
UPDATE site_changes SET told_at = :now, notice_claimed_at = NULL WHERE id = :id;

-- name: release_change!
-- The message could not be delivered; the next run tries again.
UPDATE site_changes SET notice_claimed_at = NULL WHERE id = :id;

-- name: uptime
-- Since a moment, per site: checks outside maintenance windows, how many were good, and their latency.
SELECT site, count(*) AS checks, count(*) FILTER (WHERE ok) AS good,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE ok) AS median_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE ok) AS p95_ms
FROM site_checks
WHERE checked_at >= :since AND NOT maintenance AND (:site::text IS NULL OR site = :site::text)
GROUP BY site
ORDER BY site;

-- name: newest_checks
-- The newest checks of a site.
SELECT site, checked_at, ok, maintenance, attempts, status, problem, latency_ms, dns_ms, connect_ms, tls_ms,
       first_byte_ms, total_ms, size_bytes, http_version, address
FROM site_checks
WHERE site = :site
ORDER BY checked_at DESC
LIMIT :limit;

-- name: newest_incidents
-- The newest incidents, of one site and only those that go on where asked.
SELECT id, site, kind, severity, opened_at, closed_at, reason, ending, alert_key, opening_told_at, reminded_at,
       closing_told_at
FROM site_incidents
WHERE (:site::text IS NULL OR site = :site::text) AND (NOT :only_open::boolean OR closed_at IS NULL)
ORDER BY opened_at DESC, id DESC
LIMIT :limit;

-- name: newest_changes
-- The newest changes of pages, of one site where given.
SELECT id, site, changed_at, summary, diff, significance, told_at
FROM site_changes
WHERE :site::text IS NULL OR site = :site::text
ORDER BY changed_at DESC, id DESC
LIMIT :limit;
