-- What the status page keeps of past days, so that it need not count millions of checks for each page, and knows
-- them still when the checks themselves are gone. A new table; nothing existing is touched.
CREATE TABLE IF NOT EXISTS site_days (
    site text NOT NULL,
    day date NOT NULL,
    checks integer NOT NULL CHECK (checks >= 0),
    good integer NOT NULL CHECK (good BETWEEN 0 AND checks),
    latency_ms real,
    CONSTRAINT site_days_key PRIMARY KEY (site, day)
);

-- A table that was here before us must be the one we mean.
DO $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(needed, ', ' ORDER BY position) INTO missing
    FROM unnest(ARRAY['site', 'day', 'checks', 'good', 'latency_ms'])
        WITH ORDINALITY AS list (needed, position)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('site_days') AND attname = needed AND NOT attisdropped
    );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the table site_days is already there and lacks: %', missing
            USING ERRCODE = 'AE001',
            HINT = 'rename that table, or give Aegis a database of its own';
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS site_days_by_day ON site_days (day);

COMMENT ON TABLE site_days IS 'One row a site and UTC day that is over: its checks outside maintenance, and how many were good';
COMMENT ON COLUMN site_days.latency_ms IS 'the mean of the good checks';
