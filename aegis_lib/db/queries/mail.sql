-- Statements over `mail_sorted`, `mail_places`, `mail_corrections`, `mail_classifiers`, `mail_drafts` and
-- `email_cache`. Lists come as arrays of one length, so that a batch of mail costs as many statements as one.

-- name: try_lock$
-- Be the one run that handles an account, until unlock or the end of the connection.
SELECT pg_try_advisory_lock(hashtext('aegis:mail'), hashtext(:account::text));

-- name: unlock$
-- Let the next run handle it.
SELECT pg_advisory_unlock(hashtext('aegis:mail'), hashtext(:account::text));

-- name: known_at
-- What is known of the mails at these places of a folder.
SELECT p.uid, s.id, s.identity, s.attempts, s.decided_at, s.category AS decided, s.confidence, s.decided_by,
       s.reasons, s.scores, s.move_to, s.moved_from_folder, s.moved_from_uidvalidity, s.moved_from_uid,
       s.finished_at, coalesce(c.category, s.category) AS category, c.source AS corrected_by
FROM mail_places AS p
JOIN mail_sorted AS s ON s.id = p.mail_id
LEFT JOIN LATERAL (
    SELECT category, source FROM mail_corrections
    WHERE mail_id = s.id AND source <> 'kept' ORDER BY id DESC LIMIT 1
) AS c ON true
WHERE p.account = :account AND p.folder = :folder AND p.uidvalidity = :uidvalidity
  AND p.uid = ANY (:uids::bigint[]);

-- name: unfinished
-- Mails that a run claimed and did not finish, with the place where each was seen last.
SELECT s.id, s.identity, s.attempts, s.decided_at, s.category AS decided, s.confidence, s.decided_by, s.reasons,
       s.scores, s.move_to, s.moved_from_folder, s.moved_from_uidvalidity, s.moved_from_uid, s.finished_at,
       s.category, NULL::text AS corrected_by, p.folder, p.uidvalidity, p.uid
FROM mail_sorted AS s
JOIN LATERAL (
    SELECT folder, uidvalidity, uid FROM mail_places
    WHERE mail_id = s.id ORDER BY ordinal DESC LIMIT 1
) AS p ON true
WHERE s.account = :account AND s.finished_at IS NULL
ORDER BY s.claimed_at, s.id
LIMIT :limit::integer;

-- name: claim_mails!
-- Claim mails by identity; one that was claimed and not finished counts one more attempt.
INSERT INTO mail_sorted AS s (account, identity, claimed_at)
SELECT :account::text, identity, :now FROM unnest(:identities::text[]) AS given (identity)
ON CONFLICT (account, identity) DO UPDATE
SET claimed_at = excluded.claimed_at, attempts = s.attempts + 1
WHERE s.finished_at IS NULL;

-- name: standings
-- What is known of mails by identity.
SELECT s.id, s.identity, s.attempts, s.decided_at, s.category AS decided, s.confidence, s.decided_by, s.reasons,
       s.scores, s.move_to, s.moved_from_folder, s.moved_from_uidvalidity, s.moved_from_uid, s.finished_at,
       coalesce(c.category, s.category) AS category, c.source AS corrected_by
FROM mail_sorted AS s
LEFT JOIN LATERAL (
    SELECT category, source FROM mail_corrections
    WHERE mail_id = s.id AND source <> 'kept' ORDER BY id DESC LIMIT 1
) AS c ON true
WHERE s.account = :account AND s.identity = ANY (:identities::text[]);

-- name: place_mails!
-- Keep where mails were seen.
INSERT INTO mail_places (account, folder, uidvalidity, uid, mail_id, seen_at)
SELECT :account::text, folder, uidvalidity, uid, mail_id, :now
FROM unnest(:folders::text[], :uidvalidities::bigint[], :uids::bigint[], :mail_ids::bigint[])
    AS given (folder, uidvalidity, uid, mail_id)
ON CONFLICT (account, folder, uidvalidity, uid) DO UPDATE
SET mail_id = excluded.mail_id, seen_at = excluded.seen_at,
    ordinal = nextval(pg_get_serial_sequence('mail_places', 'ordinal'));

-- name: cache_mails
-- Keep mails in email_cache. A message id that another mail has already is a stranger's choice: it gets a mark.
INSERT INTO email_cache AS e
    (message_id, thread_id, from_email, from_name, subject, snippet, body_text, received_at, is_read, labels,
     category, priority, metadata, updated_at)
SELECT
    CASE
        WHEN EXISTS (
            SELECT FROM email_cache AS other
            WHERE other.message_id = given.message_id AND other.metadata ->> 'identity' <> given.identity
        ) THEN given.message_id || '#' || left(given.identity, 16)
        ELSE given.message_id
    END,
    thread_id, from_email, from_name, subject, snippet, body_text, received_at, is_read,
    string_to_array(nullif(labels, ''), ' '), category, priority,
    jsonb_build_object('identity', given.identity, 'account', :account::text), :now
FROM unnest(
    :identities::text[], :message_ids::text[], :thread_ids::text[], :from_emails::text[], :from_names::text[],
    :subjects::text[], :snippets::text[], :body_texts::text[], :received::timestamptz[], :read::boolean[],
    :labels::text[], :categories::text[], :priorities::integer[]
) AS given (identity, message_id, thread_id, from_email, from_name, subject, snippet, body_text, received_at,
            is_read, labels, category, priority)
ON CONFLICT (message_id) DO UPDATE
SET (thread_id, from_email, from_name, subject, snippet, body_text, received_at, is_read, labels, category,
     priority, metadata, updated_at)
  = (excluded.thread_id, excluded.from_email, excluded.from_name, excluded.subject, excluded.snippet,
     coalesce(excluded.body_text, e.body_text), excluded.received_at, excluded.is_read, excluded.labels,
     excluded.category, excluded.priority, coalesce(e.metadata, '{}') || excluded.metadata, excluded.updated_at)
RETURNING id, metadata ->> 'identity' AS identity;

-- name: decide_mails!
-- Keep decisions; one that was kept before stays.
UPDATE mail_sorted AS s
SET decided_at = :now, category = given.category, confidence = given.confidence, decided_by = given.decided_by,
    reasons = ARRAY(SELECT jsonb_array_elements_text(given.reasons::jsonb)), scores = given.scores::jsonb,
    move_to = given.move_to, cache_id = given.cache_id
FROM unnest(
    :ids::bigint[], :categories::text[], :confidences::float8[], :decided_by::text[], :reasons::text[],
    :scores::text[], :move_to::text[], :cache_ids::integer[]
) AS given (id, category, confidence, decided_by, reasons, scores, move_to, cache_id)
WHERE s.id = given.id AND s.decided_at IS NULL;

-- name: moving!
-- Mails are about to be moved from where they lie.
UPDATE mail_sorted AS s
SET moved_from_folder = given.folder, moved_from_uidvalidity = given.uidvalidity, moved_from_uid = given.uid
FROM unnest(:ids::bigint[], :folders::text[], :uidvalidities::bigint[], :uids::bigint[])
    AS given (id, folder, uidvalidity, uid)
WHERE s.id = given.id;

-- name: not_moved!
-- Mails were not moved after all.
UPDATE mail_sorted
SET moved_from_folder = NULL, moved_from_uidvalidity = NULL, moved_from_uid = NULL
WHERE id = ANY (:ids::bigint[]);

-- name: finish_mails!
-- Mails are done; what could not be done is said.
UPDATE mail_sorted SET finished_at = :now, problem = coalesce(:problem::text, problem)
WHERE id = ANY (:ids::bigint[]) AND finished_at IS NULL;

-- name: correct_mail$
-- Keep a correction, unless the mail counts as that category already.
INSERT INTO mail_corrections (mail_id, category, was, source, corrected_at)
SELECT s.id, :category::text, coalesce(c.category, s.category), :source::text, :now
FROM mail_sorted AS s
LEFT JOIN LATERAL (
    SELECT category FROM mail_corrections WHERE mail_id = s.id ORDER BY id DESC LIMIT 1
) AS c ON true
WHERE s.id = :mail_id::bigint AND s.decided_at IS NOT NULL
  AND coalesce(c.category, s.category) <> :category::text
RETURNING id;

-- name: keep_mails!
-- The reader left mails as they were put: a lesson that the decision was right, once for each.
INSERT INTO mail_corrections (mail_id, category, was, source, corrected_at)
SELECT s.id, s.category, s.category, 'kept', :now
FROM mail_sorted AS s
WHERE s.account = :account AND s.id = ANY (:ids::bigint[]) AND s.finished_at < :finished_before
  AND s.decided_by <> 'default'
  AND NOT EXISTS (SELECT FROM mail_corrections WHERE mail_id = s.id);

-- name: cache_category!
-- What a corrected mail is, for those who read email_cache.
UPDATE email_cache SET category = :category::text, priority = :priority::integer, updated_at = :now
WHERE id = (SELECT cache_id FROM mail_sorted WHERE id = :mail_id::bigint);

-- name: unlearned
-- Corrections that the classifier has not learned from, with the place where the mail was seen last.
SELECT c.id, c.mail_id, c.category, c.was, c.source, p.folder, p.uidvalidity, p.uid
FROM mail_corrections AS c
JOIN mail_sorted AS s ON s.id = c.mail_id
LEFT JOIN LATERAL (
    SELECT folder, uidvalidity, uid FROM mail_places
    WHERE mail_id = s.id ORDER BY ordinal DESC LIMIT 1
) AS p ON true
WHERE s.account = :account AND c.learned_at IS NULL
ORDER BY c.id
LIMIT :limit::integer;

-- name: classifier^
-- The state of the classifier.
SELECT state::text AS state, lessons FROM mail_classifiers WHERE account = :account;

-- name: lock_classifier$
-- One process at a time teaches the classifier of an account.
SELECT pg_advisory_xact_lock(hashtext('aegis:mail_classifier'), hashtext(:account::text));

-- name: learned
-- These corrections count as learned from now on; those which did before are not among the answer.
UPDATE mail_corrections SET learned_at = :now
WHERE id = ANY (:ids::bigint[]) AND learned_at IS NULL
RETURNING id;

-- name: keep_classifier!
-- The classifier has learned.
INSERT INTO mail_classifiers AS k (account, state, lessons, updated_at)
VALUES (:account, :state::jsonb, :lessons, :now)
ON CONFLICT (account) DO UPDATE
SET state = excluded.state, lessons = k.lessons + excluded.lessons, updated_at = excluded.updated_at;

-- name: reminders
-- What is known of drafts.
SELECT identity, reminders, reminded_at, reminder_key FROM mail_drafts WHERE account = :account;

-- name: claim_reminder!
-- Somebody is about to be reminded of these drafts.
INSERT INTO mail_drafts (account, identity, reminder_key)
SELECT :account::text, identity, :key::text FROM unnest(:identities::text[]) AS given (identity)
ON CONFLICT (account, identity) DO UPDATE SET reminder_key = excluded.reminder_key;

-- name: reminded!
-- The message is out.
UPDATE mail_drafts SET reminders = reminders + 1, reminded_at = :now, reminder_key = NULL
WHERE account = :account AND reminder_key = :key::text;

-- name: forget_drafts!
-- Forget drafts that are not there any more.
DELETE FROM mail_drafts
WHERE account = :account AND identity <> ALL (:keep::text[]) AND reminder_key IS NULL;

-- name: list_sorted
-- The newest mails that were sorted; of one category, and corrected ones only, where asked for.
SELECT s.id, s.account, e.message_id, e.from_email, e.from_name, e.subject, e.received_at, s.category,
       s.confidence, s.decided_by, s.reasons, s.scores, s.decided_at, s.finished_at, s.move_to,
       s.moved_from_uid IS NOT NULL AS moved, s.problem, c.category AS corrected_to, c.source AS corrected_by,
       c.learned_at IS NOT NULL AS learned,
       p.folder, p.uidvalidity, p.uid
FROM mail_sorted AS s
LEFT JOIN email_cache AS e ON e.id = s.cache_id
LEFT JOIN LATERAL (
    SELECT category, source, learned_at FROM mail_corrections
    WHERE mail_id = s.id AND source <> 'kept' ORDER BY id DESC LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    SELECT folder, uidvalidity, uid FROM mail_places
    WHERE mail_id = s.id ORDER BY ordinal DESC LIMIT 1
) AS p ON true
WHERE (:category::text IS NULL OR coalesce(c.category, s.category) = :category::text)
  AND (NOT :corrected::boolean OR c.category IS NOT NULL)
ORDER BY s.id DESC
LIMIT :limit::integer;

-- name: find_sorted
-- Mails by the uid under which they were seen anywhere, or by message id.
SELECT s.id, s.account, e.message_id, e.from_email, e.from_name, e.subject, e.received_at, s.category,
       s.confidence, s.decided_by, s.reasons, s.scores, s.decided_at, s.finished_at, s.move_to,
       s.moved_from_uid IS NOT NULL AS moved, s.problem, c.category AS corrected_to, c.source AS corrected_by,
       c.learned_at IS NOT NULL AS learned
FROM mail_sorted AS s
LEFT JOIN email_cache AS e ON e.id = s.cache_id
LEFT JOIN LATERAL (
    SELECT category, source, learned_at FROM mail_corrections
    WHERE mail_id = s.id AND source <> 'kept' ORDER BY id DESC LIMIT 1
) AS c ON true
WHERE (:folder::text IS NULL AND e.message_id = :message_id::text)
   OR s.id IN (
        SELECT mail_id FROM mail_places
        WHERE uid = :uid::bigint AND (:folder::text IS NULL OR folder = :folder::text)
   )
ORDER BY s.id DESC
LIMIT :limit::integer;

-- name: places_of
-- Where a mail was seen, the newest first.
SELECT folder, uidvalidity, uid FROM mail_places WHERE mail_id = :mail_id::bigint ORDER BY ordinal DESC;
