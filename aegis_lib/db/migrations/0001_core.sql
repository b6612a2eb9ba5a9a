-- The original's documented tables (episodic_memory, state, config) and our task list.
-- Every statement adopts what is already there: an existing Aegis database keeps its rows and columns.
CREATE EXTENSION IF NOT EXISTS vector;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typname = 'memory_importance' AND n.nspname = current_schema()
    ) THEN
        CREATE TYPE memory_importance AS ENUM ('low', 'medium', 'high', 'critical');
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS episodic_memory (
    id serial PRIMARY KEY,
    timestamp timestamptz DEFAULT now(),
    event_type varchar(100) NOT NULL,
    summary text NOT NULL,
    details jsonb,
    context jsonb,
    importance memory_importance DEFAULT 'medium',
    embedding vector(1536),
    tags text[],
    related_memories integer[],
    created_at timestamptz DEFAULT now(),
    decision text,
    metadata jsonb,
    graphiti_synced_at timestamptz
);

CREATE TABLE IF NOT EXISTS state (
    key text PRIMARY KEY,
    value text,
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS config (
    key text PRIMARY KEY,
    value text
);

CREATE TABLE IF NOT EXISTS tasks (
    id bigserial PRIMARY KEY,
    title text NOT NULL,
    details text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'in_progress', 'blocked', 'completed', 'failed')),
    priority smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 4),
    source text NOT NULL DEFAULT 'aegis',
    source_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    due_at timestamptz
);

-- A table that was here before us must be the one we mean. This comes before anything is built on it, and
-- the whole file is one transaction: a refusal leaves the database as it was.
DO $$
DECLARE
    wanted record;
    missing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('episodic_memory', 'id,timestamp,event_type,summary,details,context,importance,embedding,tags,'
                'related_memories,created_at,decision,metadata,graphiti_synced_at'),
            ('state', 'key,value,updated_at'),
            ('config', 'key,value'),
            ('tasks', 'id,title,details,status,priority,source,source_key,created_at,started_at,'
                'completed_at,due_at')
        ) AS tables (name, columns)
    LOOP
        SELECT string_agg(needed, ', ' ORDER BY position) INTO missing
        FROM unnest(string_to_array(wanted.columns, ',')) WITH ORDINALITY AS list (needed, position)
        WHERE NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass(wanted.name) AND attname = needed AND NOT attisdropped
        );
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'the table % is already there and lacks: %', wanted.name, missing
                USING ERRCODE = 'AE001',
                HINT = 'rename that table, or give Aegis a database of its own';
        END IF;
    END LOOP;
END
$$;

-- Indexes. An adopted database has most of them under names we do not know, so an index counts as present
-- when its definition fits, whatever its name: a second equal one would only cost every insert. Storage
-- options (WITH ...) are the owner's choice and ignored. A b-tree on `timestamp` serves both directions.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('episodic_memory', false, '^btree \("?timestamp"?( DESC)?\)$',
                'CREATE INDEX episodic_memory_timestamp_idx ON episodic_memory (timestamp DESC)'),
            ('episodic_memory', false, '^btree \(event_type\)$',
                'CREATE INDEX episodic_memory_event_type_idx ON episodic_memory (event_type)'),
            ('episodic_memory', false, '^btree \(importance\)$',
                'CREATE INDEX episodic_memory_importance_idx ON episodic_memory (importance)'),
            ('episodic_memory', false, '^gin \(tags\)$',
                'CREATE INDEX episodic_memory_tags_idx ON episodic_memory USING gin (tags)'),
            ('episodic_memory', false, '^hnsw \(embedding vector_cosine_ops\)$',
                'CREATE INDEX episodic_memory_embedding_idx ON episodic_memory USING hnsw (embedding vector_cosine_ops)'),
            -- one event per key: what makes recording, and applying the spool, happen once
            ('episodic_memory', true,
                '^btree \(\(\(metadata ->> ''aegis_key''::text\)\)\) WHERE \(\(metadata ->> ''aegis_key''::text\) IS NOT NULL\)$',
                'CREATE UNIQUE INDEX episodic_memory_aegis_key_idx ON episodic_memory ((metadata ->> ''aegis_key'')) '
                'WHERE metadata ->> ''aegis_key'' IS NOT NULL'),
            -- the cleanup's way to the oldest rows it may delete
            ('episodic_memory', false, '^btree \("?timestamp"?\) WHERE \(importance = ''low''::memory_importance\)$',
                'CREATE INDEX episodic_memory_low_idx ON episodic_memory (timestamp) WHERE importance = ''low'''),
            -- an adopted table may lack the constraint that overwriting in place needs
            ('state', true, '^btree \(key\)$', 'CREATE UNIQUE INDEX state_key_idx ON state (key)'),
            ('tasks', true, '^btree \(source_key\) WHERE \(source_key IS NOT NULL\)$',
                'CREATE UNIQUE INDEX tasks_source_key_idx ON tasks (source_key) WHERE source_key IS NOT NULL'),
            ('tasks', false, '^btree \(priority, due_at\) WHERE \(status = ''pending''::text\)$',
                'CREATE INDEX tasks_pending_idx ON tasks (priority, due_at) WHERE status = ''pending'''),
            ('tasks', false, '^btree \(status, completed_at\)$',
                'CREATE INDEX tasks_finished_idx ON tasks (status, completed_at)')
        ) AS indexes (on_table, must_be_unique, fits, statement)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = to_regclass(wanted.on_table)
                AND indisvalid
                AND (indisunique OR NOT wanted.must_be_unique)
                AND regexp_replace(
                    regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', ''),
                    ' WITH \([^)]*\)', ''
                ) ~ wanted.fits
        ) THEN
            EXECUTE wanted.statement;
        END IF;
    END LOOP;
END
$$;
