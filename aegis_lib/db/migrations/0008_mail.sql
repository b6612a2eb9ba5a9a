-- Mail: the original's documented `email_cache`, and what became of each mail.
CREATE TABLE IF NOT EXISTS email_cache (
    id serial PRIMARY KEY,
    message_id text UNIQUE NOT NULL,
    thread_id text,
    from_email text,
    from_name text,
    subject text,
    snippet text,
    body_text text,
    body_html text,
    received_at timestamptz,
    is_read boolean DEFAULT false,
    labels text[],
    category text,
    priority integer,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- One row per mail of an account: claimed, decided, finished, in this order. `identity` stays the same when the
-- mail is moved or its folder is numbered anew, so that no mail is handled twice.
CREATE TABLE IF NOT EXISTS mail_sorted (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    identity text NOT NULL,
    cache_id integer,
    claimed_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    decided_at timestamptz,
    category text CHECK (category IN ('urgent', 'action_required', 'informational', 'promotional', 'spam')),
    confidence double precision,
    decided_by text,
    reasons text[] NOT NULL DEFAULT '{}',
    scores jsonb NOT NULL DEFAULT '{}',
    move_to text,
    moved_from_folder text,
    moved_from_uidvalidity bigint,
    moved_from_uid bigint,
    finished_at timestamptz,
    problem text,
    UNIQUE (account, identity)
);

-- Every place where a mail was seen, the last one with the highest ordinal. A uid means something only with its
-- folder and that folder's uidvalidity.
CREATE TABLE IF NOT EXISTS mail_places (
    account text NOT NULL,
    folder text NOT NULL,
    uidvalidity bigint NOT NULL,
    uid bigint NOT NULL,
    mail_id bigint NOT NULL REFERENCES mail_sorted (id) ON DELETE CASCADE,
    seen_at timestamptz NOT NULL,
    ordinal bigserial,
    PRIMARY KEY (account, folder, uidvalidity, uid)
);

-- What readers said was wrong. `learned_at` is empty until the classifier has learned from it.
CREATE TABLE IF NOT EXISTS mail_corrections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail_id bigint NOT NULL REFERENCES mail_sorted (id) ON DELETE CASCADE,
    category text NOT NULL
        CHECK (category IN ('urgent', 'action_required', 'informational', 'promotional', 'spam')),
    was text,
    source text NOT NULL CHECK (source IN ('moved', 'keyword', 'command', 'kept')),
    corrected_at timestamptz NOT NULL,
    learned_at timestamptz
);

CREATE TABLE IF NOT EXISTS mail_classifiers (
    account text PRIMARY KEY,
    state jsonb NOT NULL,
    lessons bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Drafts that somebody was reminded of. `reminder_key` stands while a message about it is on its way.
CREATE TABLE IF NOT EXISTS mail_drafts (
    account text NOT NULL,
    identity text NOT NULL,
    reminders integer NOT NULL DEFAULT 0,
    reminded_at timestamptz,
    reminder_key text,
    PRIMARY KEY (account, identity)
);

-- Tables that were here before us must be the ones we mean.
DO $$
DECLARE
    wanted record;
    missing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('email_cache', 'id,message_id,thread_id,from_email,from_name,subject,snippet,body_text,body_html,'
                'received_at,is_read,labels,category,priority,metadata,created_at,updated_at'),
            ('mail_sorted', 'id,account,identity,cache_id,claimed_at,attempts,decided_at,category,confidence,'
                'decided_by,reasons,scores,move_to,moved_from_folder,moved_from_uidvalidity,moved_from_uid,'
                'finished_at,problem'),
            ('mail_places', 'account,folder,uidvalidity,uid,mail_id,seen_at,ordinal'),
            ('mail_corrections', 'id,mail_id,category,was,source,corrected_at,learned_at'),
            ('mail_classifiers', 'account,state,lessons,updated_at'),
            ('mail_drafts', 'account,identity,reminders,reminded_at,reminder_key')
        ) AS tables (name, columns)
    LOOP
        SELECT string_agg(needed, ', ' ORDER BY position) INTO missing
        FROM unnest(string_to_array(wanted.columns, ',')) WITH ORDINALITY AS list (needed, position)
        WHERE NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass(wanted.name) AND attname = needed AND NOT attisdropped
        );
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'the table % is already there and lacks: %', wanted.name, missing
                USING ERRCODE = 'AE001',
                HINT = 'rename that table, or give Aegis a database of its own';
        END IF;
    END LOOP;
END
$$;

-- An adopted table may lack the constraint that storing a mail once needs.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = 'email_cache'::regclass AND indisunique AND indisvalid AND indpred IS NULL
            AND regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', '') ~ '^btree \(message_id\)$'
    ) THEN
        CREATE UNIQUE INDEX email_cache_message_id_idx ON email_cache (message_id);
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS mail_sorted_unfinished ON mail_sorted (account, claimed_at) WHERE finished_at IS NULL;
CREATE INDEX IF NOT EXISTS mail_sorted_decided ON mail_sorted (decided_at);
CREATE INDEX IF NOT EXISTS mail_places_of_a_mail ON mail_places (mail_id);
CREATE INDEX IF NOT EXISTS mail_places_uid ON mail_places (uid);
CREATE INDEX IF NOT EXISTS mail_corrections_of_a_mail ON mail_corrections (mail_id);
CREATE INDEX IF NOT EXISTS mail_corrections_unlearned ON mail_corrections (id) WHERE learned_at IS NULL;

COMMENT ON TABLE mail_sorted IS 'Every mail that was sorted, with the decision, its reasons and how far it has come';
COMMENT ON COLUMN mail_sorted.moved_from_uid IS 'set right before the mail is moved: where it lay until then';
COMMENT ON COLUMN mail_sorted.cache_id IS 'its row in email_cache';
