-- Commands from a chat channel. `discord_tasks` is the original's table: an existing one keeps its rows and columns.
CREATE TABLE IF NOT EXISTS discord_tasks (
    id serial PRIMARY KEY,
    message_id varchar(64) UNIQUE NOT NULL,
    content text NOT NULL,
    author_id varchar(64) NOT NULL,
    author_name varchar(128) NOT NULL,
    status varchar(32) DEFAULT 'pending',
    result text,
    created_at timestamptz DEFAULT now(),
    completed_at timestamptz
);

-- A table that was here before us must be the one we mean, and one message one row: on that all rests.
DO $$
BEGIN
    IF (
        SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'discord_tasks'::regclass AND NOT attisdropped AND attname IN
            ('id', 'message_id', 'content', 'author_id', 'author_name', 'status', 'result', 'created_at',
             'completed_at')
    ) < 9 THEN
        RAISE EXCEPTION 'the table discord_tasks is already there and is another one'
            USING ERRCODE = 'AE001', HINT = 'rename that table, or give Aegis a database of its own';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = 'discord_tasks'::regclass AND indisunique AND indisvalid AND indpred IS NULL
            AND regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', '') ~ '^btree \(message_id\)'
    ) THEN
        CREATE UNIQUE INDEX discord_tasks_message_id_idx ON discord_tasks (message_id);
    END IF;
END
$$;

COMMENT ON TABLE discord_tasks IS 'One row per command; message_id is the claim on it';
COMMENT ON COLUMN discord_tasks.status IS 'pending, completed, failed, refused (not allowed), unclear';
COMMENT ON COLUMN discord_tasks.result IS 'the answer, whole; what is shown is cut into parts';

-- How far each command has come. A row of `discord_tasks` that was there before us has none and is never
-- carried out.
CREATE TABLE IF NOT EXISTS discord_answers (
    task_id integer PRIMARY KEY,
    channel_id text NOT NULL,
    sent_at timestamptz NOT NULL,
    authorized boolean NOT NULL,
    late boolean NOT NULL,
    claim text,
    attempts integer NOT NULL DEFAULT 0,
    parts_sent integer NOT NULL DEFAULT 0,
    answered_at timestamptz,
    problem text
);

COMMENT ON TABLE discord_answers IS 'How far each command of discord_tasks has come';
COMMENT ON COLUMN discord_answers.authorized IS 'whether its author was allowed when it was read';
COMMENT ON COLUMN discord_answers.late IS 'too old to change anything when it was read';
COMMENT ON COLUMN discord_answers.claim IS 'the run that works on it, or worked on it last';
COMMENT ON COLUMN discord_answers.answered_at IS 'when the last part of the answer, or the reaction, was out';
COMMENT ON COLUMN discord_answers.problem IS 'why the answer could not be shown';

CREATE INDEX IF NOT EXISTS discord_answers_open_idx ON discord_answers (channel_id) WHERE answered_at IS NULL;

CREATE TABLE IF NOT EXISTS discord_channels (
    channel_id text PRIMARY KEY,
    first_id bigint,
    last_id bigint,
    started_at timestamptz,
    textless_since timestamptz,
    hold_until timestamptz
);

COMMENT ON TABLE discord_channels IS 'How far each channel of commands has been read';
COMMENT ON COLUMN discord_channels.first_id IS 'newest message when reading began, no command up to it; null: not begun';
COMMENT ON COLUMN discord_channels.textless_since IS 'since when Discord withholds what people write';
COMMENT ON COLUMN discord_channels.hold_until IS 'Discord asked to be left alone until then';
