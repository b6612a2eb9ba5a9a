-- Statements about the partitions of a table that is divided by day. What makes and drops them is in
-- partitions.py, because a statement that defines something takes no parameters.

-- name: missing
-- Which of these tables do not exist (in the schema of the divided table).
SELECT wanted AS name
FROM unnest(:names::text[]) AS wanted
WHERE NOT EXISTS (
    SELECT FROM pg_class AS held
    WHERE held.relname = wanted
        AND held.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(:table::text))
)
ORDER BY wanted;

-- name: is_divided$
-- Whether there is such a table, divided into partitions by range.
SELECT EXISTS (
    SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(:table::text) AND partstrat = 'r'
);

-- name: take_turn$
-- Wait for whoever makes partitions of the same table, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('aegis_partitions'), hashtext(:table::text))::text;

-- name: try_dropping$
-- Whether nobody else drops partitions of this table now. Held until it is given back.
SELECT pg_try_advisory_lock(hashtext('aegis_partitions_drop'), hashtext(:table::text));

-- name: end_dropping$
-- Give the right to drop back.
SELECT pg_advisory_unlock(hashtext('aegis_partitions_drop'), hashtext(:table::text));

-- name: partitions
-- Every partition of a table with its bounds, the oldest first; one without an upper bound is left out. `rows` is
-- the server's estimate, and nothing where it has none.
SELECT
    part.oid::regclass::text AS name,
    (regexp_match(bound.text, 'FROM \(''([^'']+)''\)'))[1]::timestamptz AS starts_at,
    (regexp_match(bound.text, 'TO \(''([^'']+)''\)'))[1]::timestamptz AS ends_at,
    CASE WHEN part.reltuples < 0 THEN NULL ELSE part.reltuples::bigint END AS rows,
    pg_total_relation_size(part.oid) AS size_bytes,
    kin.inhdetachpending AS leaving
FROM pg_inherits AS kin
JOIN pg_class AS part ON part.oid = kin.inhrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(part.relpartbound, part.oid) AS text) AS bound
WHERE kin.inhparent = to_regclass(:table::text) AND bound.text ~ 'TO \('''
ORDER BY ends_at, name;

-- name: left_over
-- Tables that were taken out of the divided one in order to be dropped, and are still there.
SELECT part.oid::regclass::text AS name, pg_total_relation_size(part.oid) AS size_bytes
FROM pg_class AS part
WHERE part.relkind = 'r'
    AND obj_description(part.oid, 'pg_class') = :mark::text
    AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = part.oid)
ORDER BY name;

-- name: patience^
-- How long this connection waits for locks and for a statement.
SELECT current_setting('lock_timeout') AS lock_timeout, current_setting('statement_timeout') AS statement_timeout;

-- name: set_patience^
-- Wait so long from now on.
SELECT set_config('lock_timeout', :lock_timeout::text, false) AS lock_timeout,
    set_config('statement_timeout', :statement_timeout::text, false) AS statement_timeout;
