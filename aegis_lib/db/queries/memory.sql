-- Statements over `episodic_memory`, the agent's event memory.

-- name: record$
-- Store an event; nothing happens when its key is stored already. Returns the new id or nothing.
INSERT INTO episodic_memory
    (event_type, summary, details, context, importance, tags, decision, timestamp, metadata)
VALUES (
    :event_type,
    :summary,
    :details::jsonb,
    :context::jsonb,
    :importance::memory_importance,
    :tags::text[],
    :decision,
    :timestamp,
    CASE WHEN :key::text IS NULL THEN NULL ELSE jsonb_build_object('aegis_key', :key::text) END
)
ON CONFLICT ((metadata ->> 'aegis_key')) WHERE metadata ->> 'aegis_key' IS NOT NULL DO NOTHING
RETURNING id;

-- name: find_key$
-- The id of the event stored under a key.
SELECT id FROM episodic_memory WHERE metadata ->> 'aegis_key' = :key::text;

-- name: recall_recent
-- The newest events. Rows of unknown time have no place in this order.
SELECT id, timestamp, event_type, summary, details, coalesce(importance, 'medium') AS importance, tags, decision
FROM episodic_memory
WHERE timestamp IS NOT NULL
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: recall_recent_of_type
-- The newest events of one type.
SELECT id, timestamp, event_type, summary, details, coalesce(importance, 'medium') AS importance, tags, decision
FROM episodic_memory
WHERE timestamp IS NOT NULL AND event_type = :event_type::text
ORDER BY timestamp DESC, id DESC
LIMIT :limit::integer;

-- name: search_widely$
-- Let the approximate index look at enough candidates for the rows asked for, in this transaction.
SELECT set_config('hnsw.ef_search', :breadth::text, true);

-- name: find_similar
-- Events nearest by cosine. The order is the operator's own, so that the HNSW index serves it.
SELECT id, coalesce(timestamp, created_at, 'epoch') AS timestamp, event_type, summary, details,
    coalesce(importance, 'medium') AS importance, tags, decision,
    1 - (embedding <=> :embedding::vector) AS similarity
FROM episodic_memory
WHERE embedding IS NOT NULL
ORDER BY embedding <=> :embedding::vector
LIMIT :limit::integer;

-- name: set_embedding!
-- Store an event's vector.
UPDATE episodic_memory SET embedding = :embedding::vector WHERE id = :id::integer;

-- name: count_expired$
-- How many events may be forgotten. A row of unknown time is never older than anything.
SELECT count(*)
FROM episodic_memory
WHERE importance = 'low'
    AND timestamp < :before
    AND (graphiti_synced_at IS NOT NULL OR NOT :spare_unsynced::boolean);

-- name: delete_expired^
-- Forget one batch, found by primary key; rows that somebody else holds are left for the next batch. Its commit
-- does not wait for the disk, which is what makes small batches cheap: after a crash of the server the rows
-- are there again and go the next time.
WITH gone AS (
    DELETE FROM episodic_memory
    WHERE id IN (
        SELECT id
        FROM episodic_memory
        WHERE importance = 'low'
            AND timestamp < :before
            AND (graphiti_synced_at IS NOT NULL OR NOT :spare_unsynced::boolean)
        ORDER BY timestamp
        LIMIT :limit::integer
        FOR UPDATE SKIP LOCKED
    )
    RETURNING timestamp
)
SELECT count(*) AS rows, min(timestamp) AS oldest, max(timestamp) AS newest,
    set_config('synchronous_commit', 'off', true) AS commit
FROM gone;
