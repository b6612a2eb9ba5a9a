-- The outbox: what is wrong, who is to be told, and what each channel answered. New tables; nothing existing
-- is touched.
CREATE TABLE IF NOT EXISTS alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    title text NOT NULL,
    body text NOT NULL DEFAULT '',
    audience text NOT NULL DEFAULT 'alerts',
    source text,
    reason text NOT NULL DEFAULT '',
    lasting boolean NOT NULL DEFAULT true,
    own_reminders boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sent', 'acknowledged', 'resolved')),
    count integer NOT NULL DEFAULT 1 CHECK (count >= 1),
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    notified_at timestamptz,
    again_at timestamptz,
    reminded_at timestamptz,
    reminders integer NOT NULL DEFAULT 0,
    escalated_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    suppressed_by bigint REFERENCES alerts (id) ON DELETE SET NULL,
    resolved_at timestamptz,
    recovery_title text,
    recovery_body text,
    closed_at timestamptz,
    revision integer NOT NULL DEFAULT 0
);

-- A table that was here before us must be the one we mean.
DO $$
BEGIN
    IF (
        SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'alerts'::regclass AND NOT attisdropped AND attname IN (
            'id', 'key', 'severity', 'title', 'body', 'audience', 'source', 'reason', 'lasting',
            'own_reminders', 'state', 'count', 'first_seen_at', 'last_seen_at', 'notified_at', 'again_at',
            'reminded_at', 'reminders', 'escalated_at', 'acknowledged_at', 'acknowledged_by',
            'suppressed_by', 'resolved_at', 'recovery_title', 'recovery_body', 'closed_at', 'revision'
        )
    ) < 27 THEN
        RAISE EXCEPTION 'the table alerts is already there and is another one'
            USING ERRCODE = 'AE001', HINT = 'rename that table, or give Aegis a database of its own';
    END IF;
END
$$;

COMMENT ON TABLE alerts IS 'One open alert per key; the same problem again is counted';
COMMENT ON COLUMN alerts.notified_at IS 'when it was decided to tell people; who has it is in alert_deliveries';
COMMENT ON COLUMN alerts.again_at IS 'when whoever watches the problem last asked to remind of it';
COMMENT ON COLUMN alerts.suppressed_by IS 'the root cause that it follows from; nobody was told of this one';
COMMENT ON COLUMN alerts.closed_at IS 'nothing is to be told any more';
COMMENT ON COLUMN alerts.revision IS 'grows with every change: a decision holds for the revision it was made on';

CREATE UNIQUE INDEX IF NOT EXISTS alerts_open_key ON alerts (key) WHERE resolved_at IS NULL;
CREATE INDEX IF NOT EXISTS alerts_not_closed ON alerts (id) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alerts_closed ON alerts (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS alerts_suppressed ON alerts (suppressed_by) WHERE suppressed_by IS NOT NULL;

CREATE TABLE IF NOT EXISTS alert_occurrences (
    occurrence text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

COMMENT ON TABLE alert_occurrences IS 'Each sighting that was counted, such as a run: none is counted twice';
CREATE INDEX IF NOT EXISTS alert_occurrences_seen ON alert_occurrences (seen_at);

CREATE TABLE IF NOT EXISTS alert_notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id bigint NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('problem', 'reminder', 'escalation', 'recovery')),
    number integer NOT NULL,
    severity text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (alert_id, kind, number)
);

COMMENT ON TABLE alert_notices IS 'What people are to be told, word by word; the same text at every attempt';
COMMENT ON COLUMN alert_notices.finished_at IS 'every channel has it or was given up, or it was overtaken';
CREATE INDEX IF NOT EXISTS alert_notices_open ON alert_notices (id) WHERE finished_at IS NULL;

CREATE TABLE IF NOT EXISTS alert_deliveries (
    notice_id bigint NOT NULL REFERENCES alert_notices (id) ON DELETE CASCADE,
    channel text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    parts_sent integer NOT NULL DEFAULT 0,
    claimed_at timestamptz,
    delivered_at timestamptz,
    refused_at timestamptz,
    reference text,
    problem text,
    PRIMARY KEY (notice_id, channel)
);

COMMENT ON TABLE alert_deliveries IS 'The receipt of each channel for each notice';
COMMENT ON COLUMN alert_deliveries.claimed_at IS 'somebody is sending it; old = that process died';
COMMENT ON COLUMN alert_deliveries.refused_at IS 'given up: refused for good, or tried too often';

CREATE TABLE IF NOT EXISTS alert_channels (
    channel text PRIMARY KEY,
    failures integer NOT NULL DEFAULT 0,
    problem text,
    hold_until timestamptz,
    delivered_at timestamptz
);

COMMENT ON TABLE alert_channels IS 'How each channel does; it is left alone until hold_until';
