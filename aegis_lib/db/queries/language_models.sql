-- Statements behind questions to language models: tokens are set aside and a turn is claimed before anybody asks.

-- name: set_aside$
-- Take tokens from a budget, all or none; no row when there are not so many left.
INSERT INTO language_model_budgets AS budget (day, scope, tokens)
SELECT :day::date, :scope::text, :tokens::bigint
WHERE :tokens::bigint <= :budget::bigint
ON CONFLICT (day, scope) DO UPDATE SET tokens = budget.tokens + excluded.tokens
WHERE budget.tokens + excluded.tokens <= :budget::bigint
RETURNING tokens;

-- name: used$
-- The tokens of a day that are used or set aside.
SELECT tokens FROM language_model_budgets WHERE day = :day::date AND scope = :scope;

-- name: ask$
-- Write down a request that is about to be made.
INSERT INTO language_model_exchanges
    (job_id, prompt, provider, model, day, asked_at, reserved_tokens, instruction, data)
VALUES (:job_id, :prompt, :provider, :model, :day::date, :asked_at, :reserved_tokens, :instruction, :data)
RETURNING id;

-- name: tell^
-- Write down what became of it, once; no row when that was done before, or the request is forgotten.
UPDATE language_model_exchanges
SET told_at = :told_at, verdict = :verdict, problem = :problem, model = coalesce(:model::text, model),
    input_tokens = :input_tokens, output_tokens = :output_tokens, answer = :answer
WHERE id = :id::bigint AND told_at IS NULL
RETURNING day, job_id, reserved_tokens;

-- name: give_back!
-- What was set aside becomes what was spent.
UPDATE language_model_budgets
SET tokens = greatest(tokens + :difference::bigint, 0)
WHERE day = :day::date AND scope = ANY (:scopes::text[]);

-- name: claim_turn^
-- Claim a request to a provider; no row when it is left alone, or had enough requests within the minute.
-- A time in the future is one of a clock that was set back since; beyond a minute it does not count.
INSERT INTO language_model_providers AS known (provider, recent)
VALUES (:provider, ARRAY[:now::timestamptz])
ON CONFLICT (provider) DO UPDATE SET recent = array_append(
    ARRAY(
        SELECT at FROM unnest(known.recent) AS at
        WHERE at > :now::timestamptz - interval '60 seconds' AND at < :now::timestamptz + interval '60 seconds'
    ),
    :now::timestamptz
)
WHERE (known.hold_until IS NULL OR known.hold_until <= :now::timestamptz)
    AND (
        SELECT count(*) FROM unnest(known.recent) AS at
        WHERE at > :now::timestamptz - interval '60 seconds' AND at < :now::timestamptz + interval '60 seconds'
    ) < :per_minute::integer
RETURNING failures;

-- name: next_turn^
-- When the next request may be claimed, and whether the provider is left alone until then.
SELECT failures, problem, hold_until,
    (
        SELECT at + interval '60 seconds' FROM unnest(recent) AS at
        WHERE at < :now::timestamptz + interval '60 seconds'
        ORDER BY at DESC OFFSET :per_minute::integer - 1 LIMIT 1
    ) AS free_at
FROM language_model_providers
WHERE provider = :provider;

-- name: answered!
-- The provider answers (again).
UPDATE language_model_providers
SET failures = 0, problem = NULL, hold_until = NULL, answered_at = :now
WHERE provider = :provider;

-- name: failed!
-- The provider gave no answer. A hold that is longer stays.
UPDATE language_model_providers
SET failures = failures + 1, problem = :problem, hold_until = greatest(hold_until, :hold_until::timestamptz)
WHERE provider = :provider;

-- name: forget!
-- Delete requests that are older, or are not among the newest.
DELETE FROM language_model_exchanges
WHERE asked_at < :before
    OR id <= (SELECT id FROM language_model_exchanges ORDER BY id DESC OFFSET :keep::integer LIMIT 1);

-- name: forget_budgets!
-- Delete the counts of days gone by.
DELETE FROM language_model_budgets WHERE day < :before::date;

-- name: exchanges
-- The newest requests first.
SELECT id, job_id, prompt, provider, model, asked_at, told_at, verdict, problem, reserved_tokens, input_tokens,
    output_tokens, instruction, data, answer
FROM language_model_exchanges
WHERE (:job_id::text IS NULL OR job_id = :job_id) AND (:id::bigint IS NULL OR id = :id)
ORDER BY id DESC
LIMIT :limit::integer;

-- name: spent
-- The tokens of a day, all jobs together first, then the job that used most.
SELECT day, scope, tokens FROM language_model_budgets
WHERE day = :day::date
ORDER BY scope <> '*', tokens DESC, scope;

-- name: providers
-- How each provider does.
SELECT provider, failures, problem, hold_until, answered_at,
    (
        SELECT count(*) FROM unnest(recent) AS at
        WHERE at > :now::timestamptz - interval '60 seconds' AND at < :now::timestamptz + interval '60 seconds'
    ) AS recent
FROM language_model_providers
ORDER BY provider;
