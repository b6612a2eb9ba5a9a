-- Statements over `discord_tasks`, `discord_answers` (how far each command has come; without a row there it is not
-- ours) and `discord_channels`.

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
WITH kept AS (
    INSERT INTO discord_tasks (message_id, content, author_id, author_name, status, created_at)
    VALUES (:message_id::text, :content, :author_id, :author_name, 'pending', :now::timestamptz)
    ON CONFLICT (message_id) DO NOTHING
    RETURNING id
)
INSERT INTO discord_answers (task_id, channel_id, sent_at, authorized, late)
SELECT id, :channel_id::text, :sent_at::timestamptz, :authorized::boolean, :late::boolean FROM kept;

-- name: open_commands
-- Commands that are not answered: of those who may first, the oldest first.
SELECT t.id, t.message_id::bigint AS message_id, t.author_id, t.author_name, t.content, a.authorized, a.late,
    a.sent_at, t.status AS state, t.result, a.attempts, a.parts_sent, a.claim
FROM discord_answers AS a JOIN discord_tasks AS t ON t.id = a.task_id
WHERE a.channel_id = :channel_id::text AND a.answered_at IS NULL
ORDER BY a.authorized DESC, t.message_id::bigint
LIMIT :limit::integer;

-- name: count_open$
-- How many commands are not answered.
SELECT count(*)
FROM discord_answers AS a JOIN discord_tasks AS t ON t.id = a.task_id
WHERE a.channel_id = :channel_id::text AND a.answered_at IS NULL;

-- name: claim!
-- Take a command over from whoever had it when it was looked at.
UPDATE discord_answers SET claim = :claim::text, attempts = attempts + 1
WHERE task_id = :id AND answered_at IS NULL AND claim IS NOT DISTINCT FROM :previous::text;

-- name: settle!
-- Keep what became of a command, once.
WITH mine AS (
    SELECT task_id FROM discord_answers
    WHERE task_id = :id AND claim = :claim::text AND answered_at IS NULL
    FOR UPDATE
)
UPDATE discord_tasks AS t SET status = :state::text, result = :result, completed_at = :now
FROM mine
WHERE t.id = mine.task_id AND t.result IS NULL;

-- name: part_sent!
-- So many parts of the answer are in the channel.
UPDATE discord_answers SET parts_sent = :parts_sent::integer WHERE task_id = :id AND claim = :claim::text;

-- name: answered!
-- The answer is out, or cannot be shown.
WITH mine AS (
    UPDATE discord_answers SET answered_at = :now, problem = :problem
    WHERE task_id = :id AND claim = :claim::text AND answered_at IS NULL
    RETURNING task_id
)
UPDATE discord_tasks AS t SET status = :state::text, completed_at = coalesce(t.completed_at, :now)
FROM mine
WHERE t.id = mine.task_id;
