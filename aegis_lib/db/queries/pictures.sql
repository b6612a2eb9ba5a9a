-- Statements over `site_pictures`.

-- name: try_lock$
-- Be the one run that takes pictures, until unlock or the end of the connection.
SELECT pg_try_advisory_lock(hashtext('aegis:pictures'), 0);

-- name: unlock$
-- Let the next run take them.
SELECT pg_advisory_unlock(hashtext('aegis:pictures'), 0);

-- name: references_of
-- The newest reference of each of these sites.
SELECT p.*
FROM unnest(:sites::text[]) AS wanted (site)
CROSS JOIN LATERAL (
    SELECT * FROM site_pictures WHERE site = wanted.site AND is_reference ORDER BY id DESC LIMIT 1
) AS p;

-- name: streaks
-- When each of these sites was last tried, how often that failed since its last good picture, and whether
-- somebody was told of it.
SELECT wanted.site, tried.last_at, coalesce(failed.failures, 0)::integer AS failures,
       coalesce(failed.told_failing, false) AS told_failing
FROM unnest(:sites::text[]) AS wanted (site)
CROSS JOIN LATERAL (SELECT max(taken_at) AS last_at FROM site_pictures WHERE site = wanted.site) AS tried
CROSS JOIN LATERAL (
    SELECT coalesce(max(id), 0) AS id FROM site_pictures WHERE site = wanted.site AND problem IS NULL
) AS good
CROSS JOIN LATERAL (
    SELECT count(*) AS failures, bool_or(says = 'failing') AS told_failing
    FROM site_pictures WHERE site = wanted.site AND id > good.id
) AS failed;

-- name: keep^
-- A picture, or that there is none.
INSERT INTO site_pictures (
    site, taken_at, viewport, conditions, file_digest, width, height, bytes, thumbnail_digest, http_status,
    is_reference, reference_id, changed_ratio, regions, diff_digest, diff_thumbnail_digest, problem, says
) VALUES (
    :site, :taken_at, :viewport, :conditions, :file_digest, :width, :height, :bytes, :thumbnail_digest,
    :http_status, :is_reference, :reference_id, :changed_ratio, :regions::jsonb, :diff_digest,
    :diff_thumbnail_digest, :problem, :says
)
RETURNING *;

-- name: untold
-- Pictures of which people are still to be told.
SELECT * FROM site_pictures WHERE says IS NOT NULL AND told_at IS NULL ORDER BY id LIMIT :limit::integer;

-- name: told!
-- People were told of it.
UPDATE site_pictures SET told_at = :now WHERE id = :id AND told_at IS NULL;

-- name: newest
-- The newest pictures, of one site or only changed ones where asked.
SELECT * FROM site_pictures
WHERE (:site::text IS NULL OR site = :site::text)
  AND (NOT :changed::boolean OR diff_digest IS NOT NULL)
ORDER BY id DESC
LIMIT :limit::integer;

-- name: latest
-- The newest picture of each site, by a walk over the index instead of all its rows.
WITH RECURSIVE walk AS (
    (SELECT site FROM site_pictures ORDER BY site LIMIT 1)
    UNION ALL
    SELECT (SELECT site FROM site_pictures WHERE site > walk.site ORDER BY site LIMIT 1)
    FROM walk WHERE walk.site IS NOT NULL
)
SELECT p.*
FROM walk
CROSS JOIN LATERAL (
    SELECT * FROM site_pictures
    WHERE site = walk.site AND (NOT :changed::boolean OR diff_digest IS NOT NULL)
    ORDER BY id DESC LIMIT 1
) AS p
WHERE walk.site IS NOT NULL AND (:site::text IS NULL OR p.site = :site::text)
ORDER BY p.site
LIMIT :limit::integer;

-- name: find^
-- The picture of that id.
SELECT * FROM site_pictures WHERE id = :id::bigint;

-- name: delete_before!
-- One batch of old pictures. The newest images of each site stay, its newest reference, and what is still to be told.
DELETE FROM site_pictures WHERE id IN (
    SELECT p.id
    FROM site_pictures AS p
    WHERE p.taken_at < :moment
      AND (p.says IS NULL OR p.told_at IS NOT NULL)
      AND NOT (p.is_reference AND NOT EXISTS (
            SELECT FROM site_pictures AS n WHERE n.site = p.site AND n.is_reference AND n.id > p.id
      ))
      AND (p.problem IS NOT NULL OR :keep::integer <= (
            SELECT count(*) FROM (
                SELECT FROM site_pictures AS n
                WHERE n.site = p.site AND n.id > p.id AND n.problem IS NULL
                LIMIT :keep::integer
            ) AS newer
      ))
    ORDER BY p.taken_at
    LIMIT :limit::integer
    FOR UPDATE SKIP LOCKED
);

-- name: unreferenced
-- Those files that no picture mentions. Few rows are in the table, so that it is read once per call.
SELECT digest FROM unnest(:digests::text[]) AS kept (digest)
EXCEPT
SELECT mentioned.digest
FROM site_pictures AS p
CROSS JOIN LATERAL (
    VALUES (p.file_digest), (p.thumbnail_digest), (p.diff_digest), (p.diff_thumbnail_digest)
) AS mentioned (digest)
WHERE mentioned.digest = ANY (:digests::text[]);
