-- Statements for looking into `episodic_memory` by hand. They only read.

-- name: search
-- The newest events that contain a text in their summary, type or tags, in any case.
SELECT id, timestamp, event_type, summary,
    CASE coalesce(jsonb_typeof(details), 'null')
        WHEN 'object' THEN details
        WHEN 'null' THEN '{}'::jsonb
        ELSE jsonb_build_object('value', details)
    END AS details,
    coalesce(importance, 'medium') AS importance, array_remove(coalesce(tags, '{}'), NULL) AS tags, decision
FROM episodic_memory
WHERE timestamp IS NOT NULL
    AND (
        strpos(lower(summary), lower(:text::text)) > 0
        OR strpos(lower(event_type), lower(:text::text)) > 0
        OR EXISTS (SELECT FROM unnest(tags) AS tag WHERE strpos(lower(tag), lower(:text::text)) > 0)
    )
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: stats
-- How many events there are of each type, the most frequent type first.
SELECT event_type,
    count(*) AS events,
    count(*) FILTER (WHERE timestamp > :since::timestamptz) AS last_day,
    count(*) FILTER (WHERE importance IN ('high', 'critical')) AS high_or_critical,
    max(timestamp) AS newest
FROM episodic_memory
GROUP BY event_type
ORDER BY events DESC, event_type;
