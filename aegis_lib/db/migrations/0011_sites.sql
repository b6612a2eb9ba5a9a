-- Watched sites: how each stands, every check, incidents, and what their pages say. New tables; nothing existing is
-- touched. Partitions of site_checks, one a day, are made when they are needed.
CREATE TABLE IF NOT EXISTS site_states (
    name text PRIMARY KEY,
    target text NOT NULL,
    state text NOT NULL DEFAULT 'unknown' CHECK (state IN ('up', 'down', 'unknown')),
    since timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    successes integer NOT NULL DEFAULT 0 CHECK (successes >= 0),
    history text NOT NULL DEFAULT '' CHECK (length(history) <= 20),
    slow_history text NOT NULL DEFAULT '' CHECK (length(slow_history) <= 20),
    failing_since timestamptz,
    problem text,
    status integer,
    latency_ms real,
    certificate_expires_at timestamptz,
    tags text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS site_checks (
    site text NOT NULL,
    checked_at timestamptz NOT NULL,
    ok boolean NOT NULL,
    maintenance boolean NOT NULL DEFAULT false,
    attempts smallint NOT NULL DEFAULT 1,
    status integer,
    problem text,
    latency_ms real,
    dns_ms real,
    connect_ms real,
    tls_ms real,
    first_byte_ms real,
    total_ms real,
    size_bytes bigint,
    http_version text,
    address text,
    PRIMARY KEY (site, checked_at)
) PARTITION BY RANGE (checked_at);

CREATE TABLE IF NOT EXISTS site_incidents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('down', 'slow', 'certificate')),
    severity text NOT NULL DEFAULT 'critical' CHECK (severity IN ('info', 'warning', 'critical')),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz CHECK (closed_at >= opened_at),
    reason text NOT NULL,
    ending text NOT NULL DEFAULT '',
    alert_key text,
    opening_told_at timestamptz,
    reminded_at timestamptz,
    closing_told_at timestamptz,
    notice_claimed_at timestamptz
);

CREATE TABLE IF NOT EXISTS site_contents (
    site text PRIMARY KEY,
    page text NOT NULL,
    digest text NOT NULL,
    seen_at timestamptz NOT NULL,
    changed_at timestamptz
);

CREATE TABLE IF NOT EXISTS site_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    changed_at timestamptz NOT NULL,
    summary text NOT NULL,
    diff text NOT NULL,
    significance real,
    told_at timestamptz,
    notice_claimed_at timestamptz
);

-- Tables that were here before us must be the ones we mean.
DO $$
DECLARE
    wanted record;
    missing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('site_states', 'name,target,state,since,checked_at,failures,successes,history,slow_history,'
                'failing_since,problem,status,latency_ms,certificate_expires_at,tags'),
            ('site_checks', 'site,checked_at,ok,maintenance,attempts,status,problem,latency_ms,dns_ms,'
                'connect_ms,tls_ms,first_byte_ms,total_ms,size_bytes,http_version,address'),
            ('site_incidents', 'id,site,kind,severity,opened_at,closed_at,reason,ending,alert_key,'
                'opening_told_at,reminded_at,closing_told_at,notice_claimed_at'),
            ('site_contents', 'site,page,digest,seen_at,changed_at'),
            ('site_changes', 'id,site,changed_at,summary,diff,significance,told_at,notice_claimed_at')
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

CREATE UNIQUE INDEX IF NOT EXISTS site_incidents_open ON site_incidents (site, kind) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS site_incidents_by_site ON site_incidents (site, opened_at);
CREATE INDEX IF NOT EXISTS site_incidents_by_time ON site_incidents (opened_at);
CREATE INDEX IF NOT EXISTS site_incidents_untold ON site_incidents (id)
    WHERE opening_told_at IS NULL OR (closed_at IS NOT NULL AND closing_told_at IS NULL);
CREATE INDEX IF NOT EXISTS site_changes_by_site ON site_changes (site, changed_at);
CREATE INDEX IF NOT EXISTS site_changes_by_time ON site_changes (changed_at);
CREATE INDEX IF NOT EXISTS site_changes_untold ON site_changes (id) WHERE told_at IS NULL;

COMMENT ON TABLE site_states IS 'One row a watched site: what the checks so far say of it';
COMMENT ON COLUMN site_states.checked_at IS 'when the run began that checked it last';
COMMENT ON COLUMN site_states.failing_since IS 'the first of the failing checks that are now in a row';
COMMENT ON COLUMN site_states.history IS 'the last checks that counted, newest last: . is good, x is failing';
COMMENT ON COLUMN site_states.slow_history IS 'the same for the limit of latency: . is quick enough, x is too slow';
COMMENT ON TABLE site_checks IS 'One row a check of a site; a partition a day, dropped by retention';
COMMENT ON COLUMN site_checks.latency_ms IS 'how long the whole check took: what limits and plots go by';
COMMENT ON COLUMN site_checks.maintenance IS 'within a maintenance window: a failure does not count';
COMMENT ON TABLE site_incidents IS 'From when until when something was wrong with a site, and what';
COMMENT ON COLUMN site_incidents.alert_key IS 'the alert that tells of it: its own, or one for many at once';
COMMENT ON COLUMN site_incidents.notice_claimed_at IS 'somebody is sending a message; old = that process died';
COMMENT ON TABLE site_contents IS 'What the watched part of a page said last, as extracted text';
COMMENT ON TABLE site_changes IS 'Every change of a watched page, with a readable difference';
