-- What is learned of each series of numbers, the unusual points found in them, and what people were told and said.
-- New tables; nothing existing is touched.
CREATE TABLE IF NOT EXISTS anomaly_series (
    series text PRIMARY KEY,
    host text NOT NULL,
    subject text NOT NULL,
    metric text NOT NULL,
    deployment text NOT NULL DEFAULT '',
    state bytea NOT NULL,
    seen_until timestamptz NOT NULL,
    points bigint NOT NULL DEFAULT 0 CHECK (points >= 0),
    warming_up boolean NOT NULL DEFAULT true
);

CREATE TABLE IF NOT EXISTS anomaly_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    cause text NOT NULL,
    title text NOT NULL,
    subjects text[] NOT NULL DEFAULT '{}',
    families text[] NOT NULL DEFAULT '{}',
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    opened_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    closed_at timestamptz,
    held text CHECK (held IN ('budget', 'lesson')),
    claimed_at timestamptz,
    alerted_at timestamptz,
    end_told_at timestamptz,
    dismissed_at timestamptz,
    dismissed_by text,
    note text NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS anomalies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id bigint NOT NULL REFERENCES anomaly_groups (id) ON DELETE CASCADE,
    series text NOT NULL,
    host text NOT NULL,
    subject text NOT NULL,
    metric text NOT NULL,
    at timestamptz NOT NULL,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    value double precision NOT NULL,
    expected double precision,
    low double precision,
    high double precision,
    deviation double precision NOT NULL,
    known boolean NOT NULL DEFAULT false,
    UNIQUE (series, at)
);

CREATE TABLE IF NOT EXISTS anomaly_lessons (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id bigint REFERENCES anomaly_groups (id) ON DELETE SET NULL,
    series text NOT NULL,
    above boolean NOT NULL,
    value double precision NOT NULL,
    learned_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (group_id, series, above)
);

ALTER TABLE anomaly_series ALTER COLUMN state SET STORAGE EXTERNAL; -- it is compressed before it comes here

CREATE UNIQUE INDEX IF NOT EXISTS anomaly_groups_open ON anomaly_groups (host, cause) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS anomaly_groups_by_time ON anomaly_groups (last_at);
CREATE INDEX IF NOT EXISTS anomalies_of_group ON anomalies (group_id, at);
CREATE INDEX IF NOT EXISTS anomaly_lessons_of_series ON anomaly_lessons (series, expires_at);

COMMENT ON TABLE anomaly_series IS 'One row per watched series: what its detector remembers';
COMMENT ON COLUMN anomaly_series.state IS 'JSON, compressed with zlib';
COMMENT ON COLUMN anomaly_series.deployment IS 'the container image; another one makes the detector learn anew';
COMMENT ON COLUMN anomaly_series.seen_until IS 'the newest point that the detector has judged';
COMMENT ON TABLE anomaly_groups IS 'Unusual points that belong together: one host, one cause. What people see as one anomaly';
COMMENT ON COLUMN anomaly_groups.held IS 'why people were not told: the budget of the day, or a lesson';
COMMENT ON COLUMN anomaly_groups.claimed_at IS 'somebody is sending a message; old = that process died';
COMMENT ON COLUMN anomaly_groups.closed_at IS 'calm again; later points make a new group';
COMMENT ON TABLE anomalies IS 'One unusual point of one series';
COMMENT ON COLUMN anomalies.deviation IS 'distance from what was expected, in usual distances; negative = below';
COMMENT ON COLUMN anomalies.known IS 'a lesson says that it is no news';
COMMENT ON TABLE anomaly_lessons IS 'What a person dismissed: up to this value it is no news in that series';
