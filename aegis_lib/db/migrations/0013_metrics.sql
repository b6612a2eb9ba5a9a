-- What hosts and containers use, by the minute. A table of that name that was here before us keeps every row and
-- gets another name: <name>_original.
DO $$
DECLARE
    wanted record;
    kind "char";
    fits boolean;
    free text;
    number integer;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('host_metrics', 'host,at,interval_seconds,cpu_ratio,filesystems,booted_at'),
            ('container_metrics', 'engine,name,at,container_id,image,interval_seconds,cpu_cores,memory_bytes')
        ) AS tables (name, columns)
    LOOP
        SELECT relkind INTO kind FROM pg_class WHERE oid = to_regclass(wanted.name);
        CONTINUE WHEN kind IS NULL;
        SELECT kind = 'p' AND bool_and(EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass(wanted.name) AND attname = needed AND NOT attisdropped
        )) INTO fits FROM unnest(string_to_array(wanted.columns, ',')) AS list (needed);
        CONTINUE WHEN fits;
        IF kind NOT IN ('r', 'p') THEN
            RAISE EXCEPTION 'what is called % is no table', wanted.name
                USING ERRCODE = 'AE001',
                HINT = 'rename it, or give Aegis a database of its own';
        END IF;
        free := wanted.name || '_original';
        number := 2;
        WHILE to_regclass(free) IS NOT NULL LOOP
            free := format('%s_original_%s', wanted.name, number);
            number := number + 1;
        END LOOP;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', wanted.name, free);
        EXECUTE format('COMMENT ON TABLE %I IS %L', free,
            'What an earlier installation kept as ' || wanted.name || '; every row as it was');
    END LOOP;
END
$$;

CREATE TABLE IF NOT EXISTS host_metrics (
    host text NOT NULL,
    at timestamptz NOT NULL,
    interval_seconds double precision,
    cpu_ratio double precision,
    cpu_iowait_ratio double precision,
    cpu_steal_ratio double precision,
    cpu_count integer,
    load_1m double precision,
    memory_used_ratio double precision,
    memory_available_bytes bigint,
    swap_used_ratio double precision,
    disk_used_ratio double precision,
    filesystems jsonb NOT NULL DEFAULT '{}',
    disk_read_bytes_per_second double precision,
    disk_written_bytes_per_second double precision,
    disk_busy_ratio double precision,
    network_received_bytes_per_second double precision,
    network_sent_bytes_per_second double precision,
    network_errors_per_second double precision,
    processes integer,
    booted_at timestamptz,
    CONSTRAINT host_metrics_key PRIMARY KEY (host, at)
) PARTITION BY RANGE (at);

CREATE TABLE IF NOT EXISTS container_metrics (
    engine text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    container_id text NOT NULL,
    image text NOT NULL DEFAULT '',
    interval_seconds double precision,
    cpu_cores double precision,
    cpu_throttled_ratio double precision,
    memory_bytes bigint,
    memory_ratio double precision,
    disk_read_bytes_per_second double precision,
    disk_written_bytes_per_second double precision,
    network_received_bytes_per_second double precision,
    network_sent_bytes_per_second double precision,
    processes integer,
    CONSTRAINT container_metrics_key PRIMARY KEY (engine, name, at)
) PARTITION BY RANGE (at);

CREATE TABLE IF NOT EXISTS metric_readings (
    source text NOT NULL,
    taken_at timestamptz NOT NULL,
    reading jsonb NOT NULL,
    CONSTRAINT metric_readings_key PRIMARY KEY (source)
);

CREATE INDEX IF NOT EXISTS host_metrics_by_time ON host_metrics (at);
CREATE INDEX IF NOT EXISTS container_metrics_by_time ON container_metrics (at);

COMMENT ON TABLE host_metrics IS 'One row per host and minute; a part is a day. NULL = not known, a missing row = not measured';
COMMENT ON COLUMN host_metrics.interval_seconds IS 'what the rates and ratios of time are over; NULL = no earlier reading';
COMMENT ON COLUMN host_metrics.cpu_ratio IS '0 to 1, of all cores';
COMMENT ON COLUMN host_metrics.disk_used_ratio IS '0 to 1, of the fullest filesystem';
COMMENT ON COLUMN host_metrics.filesystems IS 'mount point -> used, 0 to 1';
COMMENT ON COLUMN host_metrics.disk_busy_ratio IS '0 to 1, of the busiest disk';
COMMENT ON TABLE container_metrics IS 'One row per running container and minute; a part is a day. NULL = not known';
COMMENT ON COLUMN container_metrics.interval_seconds IS 'what the rates are over; NULL = no earlier reading';
COMMENT ON COLUMN container_metrics.cpu_cores IS 'cores in use: 1.5 = one and a half';
COMMENT ON COLUMN container_metrics.cpu_throttled_ratio IS '0 to 1, of the periods in which it was held back by its limit';
COMMENT ON COLUMN container_metrics.memory_bytes IS 'in use, without the page cache that can be given up at once';
COMMENT ON COLUMN container_metrics.memory_ratio IS '0 to 1, of its limit, or of the memory of its host where it has none';
COMMENT ON TABLE metric_readings IS 'The last raw counters of each source, from which the next rates are made';
