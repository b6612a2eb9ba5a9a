-- What is old and closed, by the kind: counted, and removed in batches of whole statements. A row that somebody else
-- holds is passed over and left to the next run.

-- name: count_site_incidents$
-- Incidents of sites that are over, and were told of.
SELECT count(*) FROM site_incidents WHERE closed_at < :before AND closing_told_at IS NOT NULL;

-- name: forget_site_incidents!
-- One batch of them.
DELETE FROM site_incidents WHERE id IN (
    SELECT id FROM site_incidents WHERE closed_at < :before AND closing_told_at IS NOT NULL
    LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_site_changes$
-- Changes of pages that people were told of.
SELECT count(*) FROM site_changes WHERE changed_at < :before AND told_at IS NOT NULL;

-- name: forget_site_changes!
-- One batch of them.
DELETE FROM site_changes WHERE id IN (
    SELECT id FROM site_changes WHERE changed_at < :before AND told_at IS NOT NULL
    ORDER BY changed_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_anomalies$
-- Groups of unusual points that are over.
SELECT count(*) FROM anomaly_groups WHERE closed_at < :before;

-- name: forget_anomalies!
-- One batch of them, with their points. What was learned from them stays until it runs out by itself.
DELETE FROM anomaly_groups WHERE id IN (
    SELECT id FROM anomaly_groups WHERE closed_at < :before LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_mail_texts$
-- Texts of mails that we sorted ourselves; rows of others in email_cache are not ours to touch.
SELECT count(*)
FROM email_cache AS e
JOIN mail_sorted AS s ON s.cache_id = e.id
WHERE s.finished_at < :before AND num_nonnulls(e.body_text, e.body_html, e.snippet) > 0;

-- name: forget_mail_texts!
-- The texts of one batch of them; who wrote, when and about what stays.
UPDATE email_cache SET body_text = NULL, body_html = NULL, snippet = NULL WHERE id IN (
    SELECT e.id
    FROM email_cache AS e
    JOIN mail_sorted AS s ON s.cache_id = e.id
    WHERE s.finished_at < :before AND num_nonnulls(e.body_text, e.body_html, e.snippet) > 0
    LIMIT :limit::integer FOR UPDATE OF e SKIP LOCKED
);

-- name: count_commands$
-- Commands that were answered; rows of others in discord_tasks are not ours to touch.
SELECT count(*) FROM discord_answers WHERE answered_at < :before;

-- name: forget_commands$
-- One batch of them, with their answers; how many.
WITH answers AS (
    DELETE FROM discord_answers WHERE task_id IN (
        SELECT task_id FROM discord_answers WHERE answered_at < :before
        LIMIT :limit::integer FOR UPDATE SKIP LOCKED
    )
    RETURNING task_id
), commands AS (
    DELETE FROM discord_tasks WHERE id IN (SELECT task_id FROM answers)
)
SELECT count(*) FROM answers;

-- name: count_approval_texts$
-- Texts of proposals that came to an end which nobody has to look at.
SELECT count(*) FROM approvals
WHERE state IN ('sent', 'rejected', 'expired') AND body <> ''
    AND coalesce(ended_at, decided_at, expires_at) < :before;

-- name: forget_approval_texts!
-- The texts of one batch. The rows stay: by their key nothing is proposed, and nothing sent, twice.
UPDATE approvals SET body = '' WHERE number IN (
    SELECT number FROM approvals
    WHERE state IN ('sent', 'rejected', 'expired') AND body <> ''
        AND coalesce(ended_at, decided_at, expires_at) < :before
    LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_container_restarts$
-- Restarts that are long done.
SELECT count(*) FROM container_restarts WHERE claimed_at < :before;

-- name: forget_container_restarts!
-- One batch of them.
DELETE FROM container_restarts WHERE id IN (
    SELECT id FROM container_restarts WHERE claimed_at < :before LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_language_model$
-- What was asked of language models.
SELECT count(*) FROM language_model_exchanges WHERE asked_at < :before;

-- name: forget_language_model!
-- One batch of it.
DELETE FROM language_model_exchanges WHERE id IN (
    SELECT id FROM language_model_exchanges WHERE asked_at < :before
    ORDER BY asked_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED
);

-- name: count_pictures$
-- Pictures of sites, but for the newest of each site and the newest that others are compared with.
SELECT count(*) FROM (
    SELECT taken_at,
        row_number() OVER (PARTITION BY site, file_digest IS NULL ORDER BY id DESC) AS place,
        row_number() OVER (PARTITION BY site, is_reference ORDER BY id DESC) AS reference_place,
        file_digest, is_reference
    FROM site_pictures
) AS held
WHERE taken_at < :before
    AND (file_digest IS NULL OR place > :keep::integer)
    AND NOT (is_reference AND reference_place = 1);
