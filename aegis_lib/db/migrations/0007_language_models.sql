-- What the processes of Aegis share about language models: the pace of requests, the tokens of a day, and what was
-- asked and answered.
CREATE TABLE IF NOT EXISTS language_model_providers (
    provider text PRIMARY KEY,
    recent timestamptz[] NOT NULL DEFAULT '{}',
    failures integer NOT NULL DEFAULT 0,
    problem text,
    hold_until timestamptz,
    answered_at timestamptz
);

COMMENT ON TABLE language_model_providers IS 'How each provider of language models does';
COMMENT ON COLUMN language_model_providers.recent IS 'when requests were claimed, within the last minute';
COMMENT ON COLUMN language_model_providers.failures IS 'in a row; an answer sets it to none';
COMMENT ON COLUMN language_model_providers.hold_until IS 'it failed and is left alone until then';

CREATE TABLE IF NOT EXISTS language_model_budgets (
    day date NOT NULL,
    scope text NOT NULL,
    tokens bigint NOT NULL,
    PRIMARY KEY (day, scope),
    CONSTRAINT language_model_budgets_count_up CHECK (tokens >= 0)
);

COMMENT ON TABLE language_model_budgets IS 'Tokens used on a UTC day, those set aside for running requests included';
COMMENT ON COLUMN language_model_budgets.scope IS 'a job''s id, or * for all jobs';

CREATE TABLE IF NOT EXISTS language_model_exchanges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL,
    prompt text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    day date NOT NULL,
    asked_at timestamptz NOT NULL,
    told_at timestamptz,
    verdict text,
    problem text,
    reserved_tokens bigint NOT NULL,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    instruction text NOT NULL,
    data text NOT NULL,
    answer text NOT NULL DEFAULT ''
);

COMMENT ON TABLE language_model_exchanges IS 'What was asked and answered, without secrets; old ones are deleted';
COMMENT ON COLUMN language_model_exchanges.verdict IS 'valid, invalid, refused, failed; null: the process that asked died';
COMMENT ON COLUMN language_model_exchanges.reserved_tokens IS 'set aside before asking; what was not used is given back after';
CREATE INDEX IF NOT EXISTS language_model_exchanges_asked ON language_model_exchanges (asked_at);
