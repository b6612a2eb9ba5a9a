-- The original's documented tables (episodic_memory, state, config) and the task list.
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
