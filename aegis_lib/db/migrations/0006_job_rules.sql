-- Rules of single jobs in the ledger (a grace without an end, maintenance windows), and alerts that flap.
-- An older program goes on reading the tables; only a grace without an end is new to it.
ALTER TABLE job_schedules ALTER COLUMN grace_seconds DROP NOT NULL;
ALTER TABLE job_schedules ADD COLUMN IF NOT EXISTS maintenance_windows jsonb NOT NULL DEFAULT '[]';

COMMENT ON COLUMN job_schedules.grace_seconds IS 'how late a run may start; null: however late';
COMMENT ON COLUMN job_schedules.maintenance_windows IS 'times of day in which no run is started';

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS flapping_at timestamptz;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS calm_since timestamptz;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS openings integer NOT NULL DEFAULT 1;

COMMENT ON COLUMN alerts.flapping_at IS 'when people were told that it comes and goes; it stays open until it is calm';
COMMENT ON COLUMN alerts.calm_since IS 'of a flapping alert: since when it has been over';
COMMENT ON COLUMN alerts.openings IS 'of a flapping alert: how often it came back';

ALTER TABLE alert_notices DROP CONSTRAINT IF EXISTS alert_notices_kind_check;
ALTER TABLE alert_notices ADD CONSTRAINT alert_notices_kind_check
    CHECK (kind IN ('problem', 'flapping', 'reminder', 'escalation', 'recovery'));
