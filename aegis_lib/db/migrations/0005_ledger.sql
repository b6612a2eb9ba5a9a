-- The ledger of runs: which schedules held when, when they were paused, when the installation ran, what became
-- of every tick, and which problems people were told about. New tables; nothing existing is touched.
CREATE TABLE IF NOT EXISTS job_schedules (
    job_id text NOT NULL,
    slug text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    schedule jsonb NOT NULL,
    grace_seconds integer NOT NULL,
    longest_run_seconds integer NOT NULL,
    freshness_seconds integer,
    PRIMARY KEY (job_id, slug, since),
    CONSTRAINT job_schedules_goes_forward CHECK (until >= since)
);

CREATE TABLE IF NOT EXISTS job_pauses (
    job_id text NOT NULL,
    slug text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    PRIMARY KEY (job_id, slug, since),
    CONSTRAINT job_pauses_goes_forward CHECK (until >= since)
);

CREATE TABLE IF NOT EXISTS installation_presence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    process text NOT NULL,
    since timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    stopped boolean NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS job_ledger (
    job_id text NOT NULL,
    slug text NOT NULL,
    due_at timestamptz NOT NULL,
    outcome text NOT NULL,
    certainty smallint NOT NULL,
    flow_run_id text,
    accounted_at timestamptz NOT NULL,
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, slug, due_at)
);

CREATE TABLE IF NOT EXISTS ledger_cases (
    key text PRIMARY KEY,
    kind text NOT NULL,
    job_id text,
    since timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    ticks integer NOT NULL,
    detail text NOT NULL,
    opened_at timestamptz NOT NULL,
    claimed_at timestamptz,
    told_at timestamptz,
    over_at timestamptz,
    over_told_at timestamptz
);

-- Tables that were here before us must be the ones we mean.
DO $$
DECLARE
    wanted record;
    missing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('job_schedules', 'job_id,slug,since,until,schedule,grace_seconds,longest_run_seconds,'
                'freshness_seconds'),
            ('job_pauses', 'job_id,slug,since,until'),
            ('installation_presence', 'id,process,since,last_seen,stopped'),
            ('job_ledger', 'job_id,slug,due_at,outcome,certainty,flow_run_id,accounted_at,detail'),
            ('ledger_cases', 'key,kind,job_id,since,last_at,ticks,detail,opened_at,claimed_at,told_at,over_at,'
                'over_told_at')
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

-- One schedule of a slug holds at a time, and a pause that goes on is one.
CREATE UNIQUE INDEX IF NOT EXISTS job_schedules_in_force_idx ON job_schedules (job_id, slug) WHERE until IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS job_pauses_open_idx ON job_pauses (job_id, slug) WHERE until IS NULL;
CREATE INDEX IF NOT EXISTS installation_presence_last_seen_idx ON installation_presence (last_seen);
CREATE INDEX IF NOT EXISTS job_ledger_due_idx ON job_ledger (due_at);
CREATE INDEX IF NOT EXISTS job_ledger_of_job_idx ON job_ledger (job_id, due_at);
CREATE INDEX IF NOT EXISTS job_ledger_unsettled_idx ON job_ledger (due_at) WHERE certainty < 2;

COMMENT ON TABLE job_schedules IS 'Versions of the catalogue''s schedules, written by a deploy; until is null while one holds';
COMMENT ON TABLE job_pauses IS 'Pauses as they were seen; * stands for every job or every schedule';
COMMENT ON TABLE installation_presence IS 'When a process said again and again that the installation runs';
COMMENT ON COLUMN installation_presence.stopped IS 'it ended on purpose, by aegis down or Ctrl-C';
COMMENT ON TABLE job_ledger IS 'One row per tick: a due time of a schedule, and what became of it';
COMMENT ON COLUMN job_ledger.certainty IS '0 pending, 1 missed, 2 nothing was to run, 3 a run''s own end; only ever rises';
COMMENT ON TABLE ledger_cases IS 'Problems that people are told about, each once when it opens and once when it is over';
