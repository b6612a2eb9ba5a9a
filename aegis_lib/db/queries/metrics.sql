-- Statements over `host_metrics`, `container_metrics` (divided by day) and `metric_readings`.

-- name: reading$
-- The last raw counters of a source, as JSON text.
SELECT reading::text FROM metric_readings WHERE source = :source;

-- name: first_reading!
-- Keep the first reading of a source; zero rows: somebody else did.
INSERT INTO metric_readings (source, taken_at, reading) VALUES (:source, :taken_at, :reading::jsonb)
ON CONFLICT (source) DO NOTHING;

-- name: next_reading!
-- Keep the reading after the one taken at `before`; zero rows: somebody else kept one meanwhile.
UPDATE metric_readings SET taken_at = :taken_at, reading = :reading::jsonb
WHERE source = :source AND taken_at = :before;

-- name: replace_reading!
-- Keep a reading whose predecessor could not be understood.
UPDATE metric_readings SET taken_at = :taken_at, reading = :reading::jsonb WHERE source = :source;

-- name: insert_host!
-- One sample of a host; a second of the same moment changes nothing.
INSERT INTO host_metrics (
    host, at, interval_seconds, cpu_ratio, cpu_iowait_ratio, cpu_steal_ratio, cpu_count, load_1m,
    memory_used_ratio, memory_available_bytes, swap_used_ratio, disk_used_ratio, filesystems,
    disk_read_bytes_per_second, disk_written_bytes_per_second, disk_busy_ratio,
    network_received_bytes_per_second, network_sent_bytes_per_second, network_errors_per_second, processes,
    booted_at
) VALUES (
    :host, :at, :interval_seconds, :cpu_ratio, :cpu_iowait_ratio, :cpu_steal_ratio, :cpu_count, :load_1m,
    :memory_used_ratio, :memory_available_bytes, :swap_used_ratio, :disk_used_ratio, :filesystems::jsonb,
    :disk_read_bytes_per_second, :disk_written_bytes_per_second, :disk_busy_ratio,
    :network_received_bytes_per_second, :network_sent_bytes_per_second, :network_errors_per_second, :processes,
    :booted_at
) ON CONFLICT DO NOTHING;

-- name: insert_containers!
-- The samples of one engine, given as `rows` of a JSON object; one of the same container and moment changes nothing.
INSERT INTO container_metrics (
    engine, name, at, container_id, image, interval_seconds, cpu_cores, cpu_throttled_ratio, memory_bytes,
    memory_ratio, disk_read_bytes_per_second, disk_written_bytes_per_second,
    network_received_bytes_per_second, network_sent_bytes_per_second, processes
)
SELECT engine, name, at, container_id, image, interval_seconds, cpu_cores, cpu_throttled_ratio, memory_bytes,
    memory_ratio, disk_read_bytes_per_second, disk_written_bytes_per_second,
    network_received_bytes_per_second, network_sent_bytes_per_second, processes
FROM json_to_recordset(:samples::json -> 'rows') AS one (
    engine text, name text, at timestamptz, container_id text, image text, interval_seconds double precision,
    cpu_cores double precision, cpu_throttled_ratio double precision, memory_bytes bigint,
    memory_ratio double precision, disk_read_bytes_per_second double precision,
    disk_written_bytes_per_second double precision, network_received_bytes_per_second double precision,
    network_sent_bytes_per_second double precision, processes integer
)
ON CONFLICT DO NOTHING;

-- name: newest_hosts
-- The newest sample of each host since a time.
SELECT DISTINCT ON (host) * FROM host_metrics WHERE at > :since ORDER BY host, at DESC;

-- name: newest_containers
-- The newest sample of each container since a time.
SELECT DISTINCT ON (engine, name) * FROM container_metrics WHERE at > :since ORDER BY engine, name, at DESC;

-- name: host_samples
-- The samples of a host in a stretch of time, the oldest first.
SELECT * FROM host_metrics WHERE host = :host AND at > :since AND at <= :until ORDER BY at;

-- name: container_samples
-- The samples of a container in a stretch of time, the oldest first.
SELECT * FROM container_metrics
WHERE engine = :engine AND name = :name AND at > :since AND at <= :until ORDER BY at;
