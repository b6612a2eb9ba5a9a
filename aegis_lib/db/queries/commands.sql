-- Statements over `discord_tasks` and `discord_channels`. A row without a channel is not ours.

-- name: try_lock$
-- Be the one run that carries out commands, until unlock or the end of the connection.
SELECT pg_try_advisory_lock(hashtext('aegis'), hashtext('discord_commands'));

-- name: unlock$
-- Let the next run work.
SELECT pg_advisory_unlock(hashtext('aegis'), hashtext('discord_commands'));

-- name: progress^
-- How far a channel has been read.
SELECT channel_id, first_id, last_id, textless_since, hold_until
FROM discord_channels
WHERE channel_id = :channel_id;

-- name: begin_reading!
-- Begin at a message; a channel that is being read already stays where it is.
INSERT INTO discord_channels (channel_id, first_id, last_id, started_at)
VALUES (:channel_id, :newest_id::bigint, :newest_id::bigint, :now)
ON CONFLICT (channel_id) DO UPDATE
SET first_id = excluded.first_id, last_id = excluded.last_id, started_at = excluded.started_at
WHERE discord_channels.first_id IS NULL;

-- name: advance!
-- The channel has been read up to there; never back.
UPDATE discord_channels SET last_id = greatest(last_id, :last_id::bigint) WHERE channel_id = :channel_id;

-- name: set_textless!
-- Since when texts are withheld; null: they are not.
UPDATE discord_channels SET textless_since = :since::timestamptz WHERE channel_id = :channel_id;

-- name: hold!
-- Leave the service alone until then.
INSERT INTO discord_channels (channel_id, hold_until) VALUES (:channel_id, :until::timestamptz)
ON CONFLICT (channel_id) DO UPDATE SET hold_until = excluded.hold_until;

-- name: keep!
-- Keep a command; once per message.
INSERT INTO discord_tasks (
    message_id, channel_id, content, author_id, author_name, status, authorized, late, sent_at, created_at
)
VALUES (
    :message_id::text, :channel_id, :content, :author_id, :author_name, 'pending', :authorized::boolean,
    :late::boolean, :sent_at::timestamptz, :now::timestamptz
)
ON CONFLICT (message_id) DO NOTHING;

-- name: open_commands
-- Commands that are not answered: of those who may first, the oldest first.
SELECT id, message_id::bigint AS message_id, author_id, author_name, content, authorized, late, sent_at,
    status AS state, result, attempts, parts_sent, claim
FROM discord_tasks
WHERE channel_id = :channel_id::text AND answered_at IS NULL
ORDER BY authorized DESC, message_id::bigint
LIMIT :limit::integer;

-- name: count_open$
-- How many commands are not answered.
SELECT count(*) FROM discord_tasks WHERE channel_id = :channel_id::text AND answered_at IS NULL;

-- name: claim!
-- Take a command over from whoever had it when it was looked at.
UPDATE discord_tasks SET claim = :claim::text, attempts = attempts + 1
WHERE id = :id AND answered_at IS NULL AND claim IS NOT DISTINCT FROM :previous::text;

-- name: settle!
-- Keep what became of a command, once.
UPDATE discord_tasks SET status = :state::text, result = :result, completed_at = :now
WHERE id = :id AND claim = :claim::text AND result IS NULL AND answered_at IS NULL;

-- name: part_sent!
-- So many parts of the answer are in the channel.
UPDATE discord_tasks SET parts_sent = :parts_sent::integer WHERE id = :id AND claim = :claim::text;

-- name: answered!
-- The answer is out, or cannot be shown.
UPDATE discord_tasks
SET answered_at = :now, status = :state::text, problem = :problem,
    completed_at = coalesce(completed_at, :now)
WHERE id = :id AND claim = :claim::text AND answered_at IS NULL;
