-- Statements over `tasks`, the list of things to do.

-- name: add_task$
-- Add a pending task; nothing happens when its source key is stored already. Returns the new id or nothing.
INSERT INTO tasks (title, details, priority, source, source_key, due_at, created_at)
VALUES (:title, :details, :priority, :source, :source_key, :due_at, :created_at)
ON CONFLICT (source_key) WHERE source_key IS NOT NULL DO NOTHING
RETURNING id;

-- name: find_task_by_source_key$
-- The id of the task that a source added.
SELECT id FROM tasks WHERE source_key = :source_key::text;

-- name: set_task_status!
-- Move a task that is not over yet; when it starts and when it ends is kept.
UPDATE tasks
SET status = :status::text,
    started_at = CASE WHEN :status::text = 'in_progress' THEN coalesce(started_at, :at) ELSE started_at END,
    completed_at = CASE WHEN :final::boolean THEN :at::timestamptz END
WHERE id = :id::bigint AND status NOT IN ('completed', 'failed');

-- name: count_tasks
-- How many tasks stand in each status that occurs.
SELECT status, count(*) AS number FROM tasks GROUP BY status;

-- name: finished_tasks
-- Tasks that ended one way in [start, end), oldest first.
SELECT id, title, details, status, priority, source, source_key, created_at, started_at, completed_at, due_at
FROM tasks
WHERE status = :status::text AND completed_at >= :start AND completed_at < :end
ORDER BY completed_at, id
LIMIT :limit::integer;

-- name: pending_tasks
-- What waits, the most pressing first.
SELECT id, title, details, status, priority, source, source_key, created_at, started_at, completed_at, due_at
FROM tasks
WHERE status = 'pending'
ORDER BY priority, due_at NULLS LAST, created_at, id
LIMIT :limit::integer;
