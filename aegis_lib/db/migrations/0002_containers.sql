-- Open cases of sick containers and every restart done because of one. New tables; nothing existing is touched.
CREATE TABLE IF NOT EXISTS container_strikes (
    engine text NOT NULL,
    name text NOT NULL,
    container_id text NOT NULL,
    strikes integer NOT NULL CHECK (strikes >= 1),
    reason text NOT NULL,
    first_strike_at timestamptz NOT NULL,
    last_strike_at timestamptz NOT NULL,
    healthy_cycles integer NOT NULL DEFAULT 0,
    last_healthy_at timestamptz,
    quarantined_at timestamptz,
    notice_claimed_at timestamptz,
    escalated_at timestamptz,
    reminded_at timestamptz,
    recovered_at timestamptz,
    PRIMARY KEY (engine, name)
);

COMMENT ON TABLE container_strikes IS 'One open case per sick container; first_strike_at identifies the case';
COMMENT ON COLUMN container_strikes.notice_claimed_at IS 'somebody is sending a message; old = that process died';
COMMENT ON COLUMN container_strikes.escalated_at IS 'when the call for a human was delivered';
COMMENT ON COLUMN container_strikes.recovered_at IS 'healthy again; the row goes when people have been told';

CREATE TABLE IF NOT EXISTS container_restarts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engine text NOT NULL,
    name text NOT NULL,
    container_id text NOT NULL,
    case_started_at timestamptz NOT NULL,
    attempt integer NOT NULL,
    reason text NOT NULL,
    claimed_at timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text,
    verified_at timestamptz,
    forgiven boolean NOT NULL DEFAULT false,
    UNIQUE (engine, name, case_started_at, attempt)
);

COMMENT ON TABLE container_restarts IS 'Every claimed restart; outcome is null until it is finished';
COMMENT ON COLUMN container_restarts.forgiven IS 'no longer counted against the budget: a human acknowledged';

CREATE INDEX IF NOT EXISTS container_restarts_by_name ON container_restarts (engine, name, claimed_at);
