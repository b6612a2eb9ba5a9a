-- What may be sent to strangers, who allowed it and what became of it; and who is never written to again. New
-- tables; nothing existing is touched.
CREATE TABLE IF NOT EXISTS approvals (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL UNIQUE,
    recipient text NOT NULL,
    recipient_key text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    in_reply_to text,
    reference_ids text[] NOT NULL DEFAULT '{}',
    proposed_by text NOT NULL DEFAULT '',
    why text NOT NULL DEFAULT '',
    digest text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (
        state IN ('pending', 'approved', 'rejected', 'expired', 'sending', 'sent', 'failed', 'unclear')
    ),
    proposed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    decided_by text,
    decided_via text CHECK (decided_via IN ('cli', 'discord', 'prefect-ui', 'rule', 'suppression')),
    decided_at timestamptz,
    approved_digest text,
    note text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,
    claim text,
    claimed_at timestamptz,
    handed_over_at timestamptz,
    message_id text UNIQUE,
    ended_at timestamptz,
    problem text NOT NULL DEFAULT '',
    reply text NOT NULL DEFAULT '',
    told_state text,
    CONSTRAINT approvals_nothing_goes_out_undecided CHECK (
        state NOT IN ('approved', 'sending', 'sent', 'unclear')
        OR (decided_by IS NOT NULL AND decided_via IS NOT NULL AND decided_at IS NOT NULL
            AND approved_digest IS NOT NULL)
    ),
    CONSTRAINT approvals_sending_is_claimed CHECK (
        state <> 'sending' OR (claim IS NOT NULL AND claimed_at IS NOT NULL AND message_id IS NOT NULL)
    )
);

CREATE TABLE IF NOT EXISTS mail_suppressions (
    address text PRIMARY KEY,
    reason text NOT NULL DEFAULT '',
    added_by text NOT NULL,
    added_at timestamptz NOT NULL
);

-- Tables that were here before us must be the ones we mean.
DO $$
DECLARE
    wanted record;
    missing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('approvals', 'number,kind,key,recipient,recipient_key,subject,body,in_reply_to,reference_ids,'
                'proposed_by,why,digest,state,proposed_at,expires_at,decided_by,decided_via,decided_at,'
                'approved_digest,note,attempts,next_attempt_at,claim,claimed_at,handed_over_at,message_id,'
                'ended_at,problem,reply,told_state'),
            ('mail_suppressions', 'address,reason,added_by,added_at')
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

CREATE INDEX IF NOT EXISTS approvals_open ON approvals (state, number)
    WHERE state IN ('pending', 'approved', 'sending', 'unclear');
CREATE INDEX IF NOT EXISTS approvals_untold ON approvals (number) WHERE told_state IS DISTINCT FROM state;
CREATE INDEX IF NOT EXISTS approvals_claimed ON approvals (claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS approvals_recipient ON approvals (recipient_key);

COMMENT ON TABLE approvals IS 'One row per mail that a job would like to send; nothing is sent that is not in here';
COMMENT ON COLUMN approvals.key IS 'the occasion: proposing it again changes nothing';
COMMENT ON COLUMN approvals.digest IS 'of the content as it was proposed';
COMMENT ON COLUMN approvals.approved_digest IS 'of the content that was approved; other content is never sent';
COMMENT ON COLUMN approvals.claimed_at IS 'a run sends it; old while the state is sending = that process died';
COMMENT ON COLUMN approvals.handed_over_at IS 'right before the mail server was told that the mail is complete';
COMMENT ON COLUMN approvals.told_state IS 'the state that people and the event memory were last told of';
COMMENT ON TABLE mail_suppressions IS 'Who has unsubscribed: never written to again. Rows are never deleted';
COMMENT ON COLUMN mail_suppressions.address IS 'lower case, without what follows a + before the @';
