-- Statements over proposals. Each decision and each claim is one conditional statement: zero rows means that
-- somebody else was first. Which state leads to which stands in `aegis_lib/approvals/policy.py`.

-- name: add^
-- A new proposal; no row where its key is known. Who has unsubscribed is not asked about.
INSERT INTO approvals (kind, key, recipient, recipient_key, subject, body, in_reply_to, reference_ids, proposed_by,
                       why, digest, proposed_at, expires_at,
                       state, decided_by, decided_via, decided_at, approved_digest, ended_at)
SELECT :kind, :key, :recipient, :recipient_key, :subject, :body, :in_reply_to, :reference_ids::text[], :proposed_by,
       :why, :digest, :now::timestamptz, :expires_at,
       CASE WHEN s.address IS NOT NULL THEN 'rejected' WHEN :rule::text IS NOT NULL THEN 'approved' ELSE 'pending' END,
       CASE WHEN s.address IS NOT NULL THEN s.added_by ELSE :rule::text END,
       CASE WHEN s.address IS NOT NULL THEN 'suppression' WHEN :rule::text IS NOT NULL THEN 'rule' END,
       CASE WHEN s.address IS NOT NULL OR :rule::text IS NOT NULL THEN :now::timestamptz END,
       CASE WHEN s.address IS NULL AND :rule::text IS NOT NULL THEN :digest END,
       CASE WHEN s.address IS NOT NULL THEN :now::timestamptz END
FROM (SELECT :recipient_key::text AS wanted) AS w
LEFT JOIN mail_suppressions AS s ON s.address = w.wanted
ON CONFLICT (key) DO NOTHING
RETURNING *;

-- name: by_key^
-- The proposal of a key.
SELECT * FROM approvals WHERE key = :key;

-- name: by_number^
-- The proposal of a number.
SELECT * FROM approvals WHERE number = :number::bigint;

-- name: listed
-- Proposals in these states, the newest first.
SELECT * FROM approvals WHERE state = ANY (:states::text[]) ORDER BY number DESC LIMIT :limit::integer;

-- name: decide^
-- Approve or reject, in time; what is approved must be what was proposed.
UPDATE approvals
SET state = :target::text, decided_by = :by, decided_via = :via, decided_at = :at::timestamptz, note = :note,
    approved_digest = CASE WHEN :target::text = 'approved' THEN :digest::text END,
    ended_at = CASE WHEN :target::text = 'rejected' THEN :at::timestamptz END
WHERE number = :number::bigint AND state = ANY (:sources::text[]) AND expires_at > :at::timestamptz
  AND (:target::text <> 'approved' OR digest = :digest::text)
RETURNING *;

-- name: add_suppression!
-- Somebody is never written to again; zero rows where that was so.
INSERT INTO mail_suppressions (address, reason, added_by, added_at) VALUES (:address, :reason, :added_by, :added_at)
ON CONFLICT (address) DO NOTHING;

-- name: suppressions
-- Who is never written to again, the newest first.
SELECT address, reason, added_by, added_at FROM mail_suppressions
ORDER BY added_at DESC, address LIMIT :limit::integer;

-- name: reject_suppressed
-- Reject what is meant for somebody who has unsubscribed.
UPDATE approvals AS a
SET state = :target::text, decided_by = s.added_by, decided_via = 'suppression', decided_at = :now::timestamptz,
    approved_digest = NULL, ended_at = :now::timestamptz
FROM mail_suppressions AS s
WHERE s.address = a.recipient_key AND a.state = ANY (:sources::text[])
RETURNING a.*;

-- name: expire
-- End what was not decided or not sent in time.
UPDATE approvals SET state = :target::text, ended_at = :now::timestamptz
WHERE state = ANY (:sources::text[]) AND expires_at <= :now::timestamptz
RETURNING *;

-- name: withdraw^
-- The rule that approved it is gone: somebody has to decide.
UPDATE approvals
SET state = :target::text, decided_by = NULL, decided_via = NULL, decided_at = NULL, approved_digest = NULL,
    told_state = NULL
WHERE number = :number::bigint AND state = ANY (:sources::text[]) AND decided_via = 'rule'
RETURNING *;

-- name: sendable
-- What is approved and due, the oldest decision first.
SELECT * FROM approvals
WHERE state = 'approved' AND expires_at > :now::timestamptz
  AND (next_attempt_at IS NULL OR next_attempt_at <= :now::timestamptz)
ORDER BY decided_at, number LIMIT :limit::integer;

-- name: sends_since$
-- How many went out since then, or may have, or are about to.
SELECT count(*) FROM approvals
WHERE claimed_at > :since::timestamptz AND state IN ('sending', 'sent', 'unclear');

-- name: lock_sending^
-- Let one claim be made at a time, until the end of the transaction: the daily limit is counted.
SELECT pg_advisory_xact_lock(hashtext('aegis'), hashtext('approvals'));

-- name: claim^
-- Be the one to send it, within the limit.
UPDATE approvals
SET state = :target::text, claim = :claim, claimed_at = :now::timestamptz, handed_over_at = NULL,
    message_id = coalesce(message_id, :message_id), attempts = attempts + 1
WHERE number = :number::bigint AND state = ANY (:sources::text[]) AND expires_at > :now::timestamptz
  AND (next_attempt_at IS NULL OR next_attempt_at <= :now::timestamptz)
  AND NOT EXISTS (SELECT FROM mail_suppressions AS s WHERE s.address = recipient_key)
  AND (
      SELECT count(*) FROM approvals AS other
      WHERE other.claimed_at > :since::timestamptz AND other.state IN ('sending', 'sent', 'unclear')
  ) < :limit::integer
RETURNING *;

-- name: hand_over!
-- The mail server may have it, if all that was decided still holds.
UPDATE approvals SET handed_over_at = :now::timestamptz
WHERE number = :number::bigint AND state = 'sending' AND claim = :claim AND handed_over_at IS NULL
  AND approved_digest = :digest AND expires_at > :now::timestamptz
  AND NOT EXISTS (SELECT FROM mail_suppressions AS s WHERE s.address = recipient_key);

-- name: abandoned
-- Claims whose process died.
SELECT * FROM approvals WHERE state = 'sending' AND claimed_at < :before::timestamptz ORDER BY number;

-- name: settle^
-- How an attempt ended, said by who has the claim.
UPDATE approvals
SET state = :target::text, problem = :problem, reply = :reply,
    next_attempt_at = :next_attempt_at::timestamptz,
    attempts = greatest(attempts - CASE WHEN :uncounted::boolean THEN 1 ELSE 0 END, 0),
    claim = CASE WHEN :target::text = 'approved' THEN NULL ELSE claim END,
    handed_over_at = CASE WHEN :target::text = 'approved' THEN NULL ELSE handed_over_at END,
    ended_at = CASE WHEN :target::text = 'approved' THEN NULL ELSE :now::timestamptz END
WHERE number = :number::bigint AND state = ANY (:sources::text[])
  AND (:claim::text IS NULL OR claim = :claim::text)
RETURNING *;

-- name: untold
-- What people were not told yet, the oldest first.
SELECT * FROM approvals WHERE told_state IS DISTINCT FROM state AND state <> 'sending'
ORDER BY number LIMIT :limit::integer;

-- name: told!
-- People were told of the state that it is still in.
UPDATE approvals SET told_state = :state::text WHERE number = :number::bigint AND state = :state::text;
