-- Statements over `state`. Its column `value` is text in our schema and may be json or jsonb in an adopted one.

-- name: get_state$
-- A value as text, whatever the column's type.
SELECT to_jsonb(value) #>> '{}' FROM state WHERE key = :key::text;

-- name: set_state!
-- Store a value. Going through JSON lets one statement fill a text and a JSON column.
INSERT INTO state (key, value, updated_at)
SELECT key, value, updated_at
FROM jsonb_populate_record(
    NULL::state,
    jsonb_build_object(
        'key', :key::text,
        'value', CASE :value::text
            WHEN 'true' THEN 'true'::jsonb
            WHEN 'false' THEN 'false'::jsonb
            ELSE to_jsonb(:value::text)
        END,
        'updated_at', :updated_at::timestamptz
    )
)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;
