-- One row per digest. Their windows follow each other without gap or overlap, and each is claimed before it
-- is written, so that a run that dies in the middle is taken up again with the same window.
CREATE TABLE IF NOT EXISTS digests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    window_start timestamptz NOT NULL UNIQUE,
    window_end timestamptz NOT NULL UNIQUE,
    claimed_at timestamptz NOT NULL,
    post_claimed_at timestamptz,
    finished_at timestamptz,
    journal_path text,
    CONSTRAINT digests_window_has_a_length CHECK (window_end > window_start)
);

-- A table that was here before us must be the one we mean.
DO $$
BEGIN
    IF (
        SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'digests'::regclass AND NOT attisdropped AND attname IN
            ('id', 'window_start', 'window_end', 'claimed_at', 'post_claimed_at', 'finished_at', 'journal_path')
    ) < 7 THEN
        RAISE EXCEPTION 'the table digests is already there and is another one'
            USING ERRCODE = 'AE001', HINT = 'rename that table, or give Aegis a database of its own';
    END IF;
END
$$;

COMMENT ON TABLE digests IS 'One row per evening digest; the next window starts where the last one ends';
COMMENT ON COLUMN digests.post_claimed_at IS 'a run set out to post it; without finished_at it is unknown whether it did';
