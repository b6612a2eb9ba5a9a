-- The sum of the migrations. Made by `make generate`; not edited.

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

CREATE TYPE public.memory_importance AS ENUM (
    'low',
    'medium',
    'high',
    'critical'
);

CREATE TABLE public.alert_channels (
    channel text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    problem text,
    hold_until timestamp with time zone,
    delivered_at timestamp with time zone
);

COMMENT ON TABLE public.alert_channels IS 'How each channel does; it is left alone until hold_until';

CREATE TABLE public.alert_deliveries (
    notice_id bigint NOT NULL,
    channel text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    parts_sent integer DEFAULT 0 NOT NULL,
    claimed_at timestamp with time zone,
    delivered_at timestamp with time zone,
    refused_at timestamp with time zone,
    reference text,
    problem text
);

COMMENT ON TABLE public.alert_deliveries IS 'The receipt of each channel for each notice';

COMMENT ON COLUMN public.alert_deliveries.claimed_at IS 'somebody is sending it; old = that process died';

COMMENT ON COLUMN public.alert_deliveries.refused_at IS 'given up: refused for good, or tried too often';

CREATE TABLE public.alert_notices (
    id bigint NOT NULL,
    alert_id bigint NOT NULL,
    kind text NOT NULL,
    number integer NOT NULL,
    severity text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT alert_notices_kind_check CHECK ((kind = ANY (ARRAY['problem'::text, 'flapping'::text, 'reminder'::text, 'escalation'::text, 'recovery'::text])))
);

COMMENT ON TABLE public.alert_notices IS 'What people are to be told, word by word; the same text at every attempt';

COMMENT ON COLUMN public.alert_notices.finished_at IS 'every channel has it or was given up, or it was overtaken';

ALTER TABLE public.alert_notices ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alert_notices_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.alert_occurrences (
    occurrence text NOT NULL,
    seen_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.alert_occurrences IS 'Each sighting that was counted, such as a run: none is counted twice';

CREATE TABLE public.alerts (
    id bigint NOT NULL,
    key text NOT NULL,
    severity text NOT NULL,
    title text NOT NULL,
    body text DEFAULT ''::text NOT NULL,
    audience text DEFAULT 'alerts'::text NOT NULL,
    source text,
    reason text DEFAULT ''::text NOT NULL,
    lasting boolean DEFAULT true NOT NULL,
    own_reminders boolean DEFAULT false NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    count integer DEFAULT 1 NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    notified_at timestamp with time zone,
    again_at timestamp with time zone,
    reminded_at timestamp with time zone,
    reminders integer DEFAULT 0 NOT NULL,
    escalated_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    suppressed_by bigint,
    resolved_at timestamp with time zone,
    recovery_title text,
    recovery_body text,
    closed_at timestamp with time zone,
    revision integer DEFAULT 0 NOT NULL,
    flapping_at timestamp with time zone,
    calm_since timestamp with time zone,
    openings integer DEFAULT 1 NOT NULL,
    CONSTRAINT alerts_count_check CHECK ((count >= 1)),
    CONSTRAINT alerts_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text]))),
    CONSTRAINT alerts_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'sent'::text, 'acknowledged'::text, 'resolved'::text])))
);

COMMENT ON TABLE public.alerts IS 'One open alert per key; the same problem again is counted';

COMMENT ON COLUMN public.alerts.notified_at IS 'when it was decided to tell people; who has it is in alert_deliveries';

COMMENT ON COLUMN public.alerts.again_at IS 'when whoever watches the problem last asked to remind of it';

COMMENT ON COLUMN public.alerts.suppressed_by IS 'the root cause that it follows from; nobody was told of this one';

COMMENT ON COLUMN public.alerts.closed_at IS 'nothing is to be told any more';

COMMENT ON COLUMN public.alerts.revision IS 'grows with every change: a decision holds for the revision it was made on';

COMMENT ON COLUMN public.alerts.flapping_at IS 'when people were told that it comes and goes; it stays open until it is calm';

COMMENT ON COLUMN public.alerts.calm_since IS 'of a flapping alert: since when it has been over';

COMMENT ON COLUMN public.alerts.openings IS 'of a flapping alert: how often it came back';

ALTER TABLE public.alerts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alerts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.anomalies (
    id bigint NOT NULL,
    group_id bigint NOT NULL,
    series text NOT NULL,
    host text NOT NULL,
    subject text NOT NULL,
    metric text NOT NULL,
    at timestamp with time zone NOT NULL,
    score double precision NOT NULL,
    value double precision NOT NULL,
    expected double precision,
    low double precision,
    high double precision,
    deviation double precision NOT NULL,
    known boolean DEFAULT false NOT NULL,
    CONSTRAINT anomalies_score_check CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)))
);

COMMENT ON TABLE public.anomalies IS 'One unusual point of one series';

COMMENT ON COLUMN public.anomalies.deviation IS 'distance from what was expected, in usual distances; negative = below';

COMMENT ON COLUMN public.anomalies.known IS 'a lesson says that it is no news';

ALTER TABLE public.anomalies ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.anomalies_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.anomaly_groups (
    id bigint NOT NULL,
    host text NOT NULL,
    cause text NOT NULL,
    title text NOT NULL,
    subjects text[] DEFAULT '{}'::text[] NOT NULL,
    families text[] DEFAULT '{}'::text[] NOT NULL,
    score double precision NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    held text,
    claimed_at timestamp with time zone,
    alerted_at timestamp with time zone,
    end_told_at timestamp with time zone,
    dismissed_at timestamp with time zone,
    dismissed_by text,
    note text DEFAULT ''::text NOT NULL,
    CONSTRAINT anomaly_groups_held_check CHECK ((held = ANY (ARRAY['budget'::text, 'lesson'::text]))),
    CONSTRAINT anomaly_groups_score_check CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)))
);

COMMENT ON TABLE public.anomaly_groups IS 'Unusual points that belong together: one host, one cause. What people see as one anomaly';

COMMENT ON COLUMN public.anomaly_groups.closed_at IS 'calm again; later points make a new group';

COMMENT ON COLUMN public.anomaly_groups.held IS 'why people were not told: the budget of the day, or a lesson';

COMMENT ON COLUMN public.anomaly_groups.claimed_at IS 'somebody is sending a message; old = that process died';

ALTER TABLE public.anomaly_groups ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.anomaly_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.anomaly_lessons (
    id bigint NOT NULL,
    group_id bigint,
    series text NOT NULL,
    above boolean NOT NULL,
    value double precision NOT NULL,
    learned_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.anomaly_lessons IS 'What a person dismissed: up to this value it is no news in that series';

ALTER TABLE public.anomaly_lessons ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.anomaly_lessons_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.anomaly_series (
    series text NOT NULL,
    host text NOT NULL,
    subject text NOT NULL,
    metric text NOT NULL,
    deployment text DEFAULT ''::text NOT NULL,
    state bytea NOT NULL,
    seen_until timestamp with time zone NOT NULL,
    points bigint DEFAULT 0 NOT NULL,
    warming_up boolean DEFAULT true NOT NULL,
    CONSTRAINT anomaly_series_points_check CHECK ((points >= 0))
);
ALTER TABLE ONLY public.anomaly_series ALTER COLUMN state SET STORAGE EXTERNAL;

COMMENT ON TABLE public.anomaly_series IS 'One row per watched series: what its detector remembers';

COMMENT ON COLUMN public.anomaly_series.deployment IS 'the container image; another one makes the detector learn anew';

COMMENT ON COLUMN public.anomaly_series.state IS 'JSON, compressed with zlib';

COMMENT ON COLUMN public.anomaly_series.seen_until IS 'the newest point that the detector has judged';

CREATE TABLE public.approvals (
    number bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    recipient text NOT NULL,
    recipient_key text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    in_reply_to text,
    reference_ids text[] DEFAULT '{}'::text[] NOT NULL,
    proposed_by text DEFAULT ''::text NOT NULL,
    why text DEFAULT ''::text NOT NULL,
    digest text NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    proposed_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    decided_by text,
    decided_via text,
    decided_at timestamp with time zone,
    approved_digest text,
    note text DEFAULT ''::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    claim text,
    claimed_at timestamp with time zone,
    handed_over_at timestamp with time zone,
    message_id text,
    ended_at timestamp with time zone,
    problem text DEFAULT ''::text NOT NULL,
    reply text DEFAULT ''::text NOT NULL,
    told_state text,
    CONSTRAINT approvals_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT approvals_decided_via_check CHECK ((decided_via = ANY (ARRAY['cli'::text, 'discord'::text, 'prefect-ui'::text, 'rule'::text, 'suppression'::text]))),
    CONSTRAINT approvals_nothing_goes_out_undecided CHECK (((state <> ALL (ARRAY['approved'::text, 'sending'::text, 'sent'::text, 'unclear'::text])) OR ((decided_by IS NOT NULL) AND (decided_via IS NOT NULL) AND (decided_at IS NOT NULL) AND (approved_digest IS NOT NULL)))),
    CONSTRAINT approvals_sending_is_claimed CHECK (((state <> 'sending'::text) OR ((claim IS NOT NULL) AND (claimed_at IS NOT NULL) AND (message_id IS NOT NULL)))),
    CONSTRAINT approvals_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'approved'::text, 'rejected'::text, 'expired'::text, 'sending'::text, 'sent'::text, 'failed'::text, 'unclear'::text])))
);

COMMENT ON TABLE public.approvals IS 'One row per mail that a job would like to send; nothing is sent that is not in here';

COMMENT ON COLUMN public.approvals.key IS 'the occasion: proposing it again changes nothing';

COMMENT ON COLUMN public.approvals.digest IS 'of the content as it was proposed';

COMMENT ON COLUMN public.approvals.approved_digest IS 'of the content that was approved; other content is never sent';

COMMENT ON COLUMN public.approvals.claimed_at IS 'a run sends it; old while the state is sending = that process died';

COMMENT ON COLUMN public.approvals.handed_over_at IS 'right before the mail server was told that the mail is complete';

COMMENT ON COLUMN public.approvals.told_state IS 'the state that people and the event memory were last told of';

ALTER TABLE public.approvals ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.approvals_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.config (
    key text NOT NULL,
    value text
);

CREATE TABLE public.container_metrics (
    engine text NOT NULL,
    name text NOT NULL,
    at timestamp with time zone NOT NULL,
    container_id text NOT NULL,
    image text DEFAULT ''::text NOT NULL,
    interval_seconds double precision,
    cpu_cores double precision,
    cpu_throttled_ratio double precision,
    memory_bytes bigint,
    memory_ratio double precision,
    disk_read_bytes_per_second double precision,
    disk_written_bytes_per_second double precision,
    network_received_bytes_per_second double precision,
    network_sent_bytes_per_second double precision,
    processes integer
)
PARTITION BY RANGE (at);

COMMENT ON TABLE public.container_metrics IS 'One row per running container and minute; a part is a day. NULL = not known';

COMMENT ON COLUMN public.container_metrics.interval_seconds IS 'what the rates are over; NULL = no earlier reading';

COMMENT ON COLUMN public.container_metrics.cpu_cores IS 'cores in use: 1.5 = one and a half';

COMMENT ON COLUMN public.container_metrics.cpu_throttled_ratio IS '0 to 1, of the periods in which it was held back by its limit';

COMMENT ON COLUMN public.container_metrics.memory_bytes IS 'in use, without the page cache that can be given up at once';

COMMENT ON COLUMN public.container_metrics.memory_ratio IS '0 to 1, of its limit, or of the memory of its host where it has none';

CREATE TABLE public.container_restarts (
    id bigint NOT NULL,
    engine text NOT NULL,
    name text NOT NULL,
    container_id text NOT NULL,
    case_started_at timestamp with time zone NOT NULL,
    attempt integer NOT NULL,
    reason text NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    outcome text,
    verified_at timestamp with time zone,
    forgiven boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.container_restarts IS 'Every claimed restart; outcome is null until it is finished';

COMMENT ON COLUMN public.container_restarts.forgiven IS 'no longer counted against the budget: a human acknowledged';

ALTER TABLE public.container_restarts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.container_restarts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.container_strikes (
    engine text NOT NULL,
    name text NOT NULL,
    container_id text NOT NULL,
    strikes integer NOT NULL,
    reason text NOT NULL,
    first_strike_at timestamp with time zone NOT NULL,
    last_strike_at timestamp with time zone NOT NULL,
    healthy_cycles integer DEFAULT 0 NOT NULL,
    last_healthy_at timestamp with time zone,
    quarantined_at timestamp with time zone,
    notice_claimed_at timestamp with time zone,
    escalated_at timestamp with time zone,
    reminded_at timestamp with time zone,
    recovered_at timestamp with time zone,
    CONSTRAINT container_strikes_strikes_check CHECK ((strikes >= 1))
);

COMMENT ON TABLE public.container_strikes IS 'One open case per sick container; first_strike_at identifies the case';

COMMENT ON COLUMN public.container_strikes.notice_claimed_at IS 'somebody is sending a message; old = that process died';

COMMENT ON COLUMN public.container_strikes.escalated_at IS 'when the call for a human was delivered';

COMMENT ON COLUMN public.container_strikes.recovered_at IS 'healthy again; the row goes when people have been told';

CREATE TABLE public.digests (
    id bigint NOT NULL,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    post_claimed_at timestamp with time zone,
    finished_at timestamp with time zone,
    journal_path text,
    CONSTRAINT digests_window_has_a_length CHECK ((window_end > window_start))
);

COMMENT ON TABLE public.digests IS 'One row per evening digest; the next window starts where the last one ends';

COMMENT ON COLUMN public.digests.post_claimed_at IS 'a run set out to post it; without finished_at it is unknown whether it did';

ALTER TABLE public.digests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.digests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.discord_answers (
    task_id integer NOT NULL,
    channel_id text NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    authorized boolean NOT NULL,
    late boolean NOT NULL,
    claim text,
    attempts integer DEFAULT 0 NOT NULL,
    parts_sent integer DEFAULT 0 NOT NULL,
    answered_at timestamp with time zone,
    problem text
);

COMMENT ON TABLE public.discord_answers IS 'How far each command of discord_tasks has come';

COMMENT ON COLUMN public.discord_answers.authorized IS 'whether its author was allowed when it was read';

COMMENT ON COLUMN public.discord_answers.late IS 'too old to change anything when it was read';

COMMENT ON COLUMN public.discord_answers.claim IS 'the run that works on it, or worked on it last';

COMMENT ON COLUMN public.discord_answers.answered_at IS 'when the last part of the answer, or the reaction, was out';

COMMENT ON COLUMN public.discord_answers.problem IS 'why the answer could not be shown';

CREATE TABLE public.discord_channels (
    channel_id text NOT NULL,
    first_id bigint,
    last_id bigint,
    started_at timestamp with time zone,
    textless_since timestamp with time zone,
    hold_until timestamp with time zone
);

COMMENT ON TABLE public.discord_channels IS 'How far each channel of commands has been read';

COMMENT ON COLUMN public.discord_channels.first_id IS 'newest message when reading began, no command up to it; null: not begun';

COMMENT ON COLUMN public.discord_channels.textless_since IS 'since when Discord withholds what people write';

COMMENT ON COLUMN public.discord_channels.hold_until IS 'Discord asked to be left alone until then';

CREATE TABLE public.discord_tasks (
    id integer NOT NULL,
    message_id character varying(64) NOT NULL,
    content text NOT NULL,
    author_id character varying(64) NOT NULL,
    author_name character varying(128) NOT NULL,
    status character varying(32) DEFAULT 'pending'::character varying,
    result text,
    created_at timestamp with time zone DEFAULT now(),
    completed_at timestamp with time zone
);

COMMENT ON TABLE public.discord_tasks IS 'One row per command; message_id is the claim on it';

COMMENT ON COLUMN public.discord_tasks.status IS 'pending, completed, failed, refused (not allowed), unclear';

COMMENT ON COLUMN public.discord_tasks.result IS 'the answer, whole; what is shown is cut into parts';

CREATE SEQUENCE public.discord_tasks_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.discord_tasks_id_seq OWNED BY public.discord_tasks.id;

CREATE TABLE public.email_cache (
    id integer NOT NULL,
    message_id text NOT NULL,
    thread_id text,
    from_email text,
    from_name text,
    subject text,
    snippet text,
    body_text text,
    body_html text,
    received_at timestamp with time zone,
    is_read boolean DEFAULT false,
    labels text[],
    category text,
    priority integer,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now()
);

CREATE SEQUENCE public.email_cache_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.email_cache_id_seq OWNED BY public.email_cache.id;

CREATE TABLE public.episodic_memory (
    id integer NOT NULL,
    "timestamp" timestamp with time zone DEFAULT now(),
    event_type character varying(100) NOT NULL,
    summary text NOT NULL,
    details jsonb,
    context jsonb,
    importance public.memory_importance DEFAULT 'medium'::public.memory_importance,
    embedding public.vector(1536),
    tags text[],
    related_memories integer[],
    created_at timestamp with time zone DEFAULT now(),
    decision text,
    metadata jsonb,
    graphiti_synced_at timestamp with time zone
);

CREATE SEQUENCE public.episodic_memory_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.episodic_memory_id_seq OWNED BY public.episodic_memory.id;

CREATE TABLE public.host_metrics (
    host text NOT NULL,
    at timestamp with time zone NOT NULL,
    interval_seconds double precision,
    cpu_ratio double precision,
    cpu_iowait_ratio double precision,
    cpu_steal_ratio double precision,
    cpu_count integer,
    load_1m double precision,
    memory_used_ratio double precision,
    memory_available_bytes bigint,
    swap_used_ratio double precision,
    disk_used_ratio double precision,
    filesystems jsonb DEFAULT '{}'::jsonb NOT NULL,
    disk_read_bytes_per_second double precision,
    disk_written_bytes_per_second double precision,
    disk_busy_ratio double precision,
    network_received_bytes_per_second double precision,
    network_sent_bytes_per_second double precision,
    network_errors_per_second double precision,
    processes integer,
    booted_at timestamp with time zone
)
PARTITION BY RANGE (at);

COMMENT ON TABLE public.host_metrics IS 'One row per host and minute; a part is a day. NULL = not known, a missing row = not measured';

COMMENT ON COLUMN public.host_metrics.interval_seconds IS 'what the rates and ratios of time are over; NULL = no earlier reading';

COMMENT ON COLUMN public.host_metrics.cpu_ratio IS '0 to 1, of all cores';

COMMENT ON COLUMN public.host_metrics.disk_used_ratio IS '0 to 1, of the fullest filesystem';

COMMENT ON COLUMN public.host_metrics.filesystems IS 'mount point -> used, 0 to 1';

COMMENT ON COLUMN public.host_metrics.disk_busy_ratio IS '0 to 1, of the busiest disk';

CREATE TABLE public.installation_presence (
    id bigint NOT NULL,
    process text NOT NULL,
    since timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    stopped boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.installation_presence IS 'When a process said again and again that the installation runs';

COMMENT ON COLUMN public.installation_presence.stopped IS 'it ended on purpose, by aegis down or Ctrl-C';

ALTER TABLE public.installation_presence ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.installation_presence_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.job_ledger (
    job_id text NOT NULL,
    slug text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    certainty smallint NOT NULL,
    flow_run_id text,
    accounted_at timestamp with time zone NOT NULL,
    detail text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE public.job_ledger IS 'One row per tick: a due time of a schedule, and what became of it';

COMMENT ON COLUMN public.job_ledger.certainty IS '0 pending, 1 missed, 2 nothing was to run, 3 a run''s own end; only ever rises';

CREATE TABLE public.job_pauses (
    job_id text NOT NULL,
    slug text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone,
    CONSTRAINT job_pauses_goes_forward CHECK ((until >= since))
);

COMMENT ON TABLE public.job_pauses IS 'Pauses as they were seen; * stands for every job or every schedule';

CREATE TABLE public.job_schedules (
    job_id text NOT NULL,
    slug text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone,
    schedule jsonb NOT NULL,
    grace_seconds integer,
    longest_run_seconds integer NOT NULL,
    freshness_seconds integer,
    maintenance_windows jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT job_schedules_goes_forward CHECK ((until >= since))
);

COMMENT ON TABLE public.job_schedules IS 'Versions of the catalogue''s schedules, written by a deploy; until is null while one holds';

COMMENT ON COLUMN public.job_schedules.grace_seconds IS 'how late a run may start; null: however late';

COMMENT ON COLUMN public.job_schedules.maintenance_windows IS 'times of day in which no run is started';

CREATE TABLE public.language_model_budgets (
    day date NOT NULL,
    scope text NOT NULL,
    tokens bigint NOT NULL,
    CONSTRAINT language_model_budgets_count_up CHECK ((tokens >= 0))
);

COMMENT ON TABLE public.language_model_budgets IS 'Tokens used on a UTC day, those set aside for running requests included';

COMMENT ON COLUMN public.language_model_budgets.scope IS 'a job''s id, or * for all jobs';

CREATE TABLE public.language_model_exchanges (
    id bigint NOT NULL,
    job_id text NOT NULL,
    prompt text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    day date NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    told_at timestamp with time zone,
    verdict text,
    problem text,
    reserved_tokens bigint NOT NULL,
    input_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    instruction text NOT NULL,
    data text NOT NULL,
    answer text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE public.language_model_exchanges IS 'What was asked and answered, without secrets; old ones are deleted';

COMMENT ON COLUMN public.language_model_exchanges.verdict IS 'valid, invalid, refused, failed; null: the process that asked died';

COMMENT ON COLUMN public.language_model_exchanges.reserved_tokens IS 'set aside before asking; what was not used is given back after';

ALTER TABLE public.language_model_exchanges ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.language_model_exchanges_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.language_model_providers (
    provider text NOT NULL,
    recent timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    problem text,
    hold_until timestamp with time zone,
    answered_at timestamp with time zone
);

COMMENT ON TABLE public.language_model_providers IS 'How each provider of language models does';

COMMENT ON COLUMN public.language_model_providers.recent IS 'when requests were claimed, within the last minute';

COMMENT ON COLUMN public.language_model_providers.failures IS 'in a row; an answer sets it to none';

COMMENT ON COLUMN public.language_model_providers.hold_until IS 'it failed and is left alone until then';

CREATE TABLE public.ledger_cases (
    key text NOT NULL,
    kind text NOT NULL,
    job_id text,
    since timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    ticks integer NOT NULL,
    detail text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    told_at timestamp with time zone,
    over_at timestamp with time zone,
    over_told_at timestamp with time zone
);

COMMENT ON TABLE public.ledger_cases IS 'Problems that people are told about, each once when it opens and once when it is over';

CREATE TABLE public.mail_classifiers (
    account text NOT NULL,
    state jsonb NOT NULL,
    lessons bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.mail_corrections (
    id bigint NOT NULL,
    mail_id bigint NOT NULL,
    category text NOT NULL,
    was text,
    source text NOT NULL,
    corrected_at timestamp with time zone NOT NULL,
    learned_at timestamp with time zone,
    CONSTRAINT mail_corrections_category_check CHECK ((category = ANY (ARRAY['urgent'::text, 'action_required'::text, 'informational'::text, 'promotional'::text, 'spam'::text]))),
    CONSTRAINT mail_corrections_source_check CHECK ((source = ANY (ARRAY['moved'::text, 'keyword'::text, 'command'::text, 'kept'::text])))
);

ALTER TABLE public.mail_corrections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.mail_corrections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.mail_drafts (
    account text NOT NULL,
    identity text NOT NULL,
    reminders integer DEFAULT 0 NOT NULL,
    reminded_at timestamp with time zone,
    reminder_key text
);

CREATE TABLE public.mail_places (
    account text NOT NULL,
    folder text NOT NULL,
    uidvalidity bigint NOT NULL,
    uid bigint NOT NULL,
    mail_id bigint NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    ordinal bigint NOT NULL
);

CREATE SEQUENCE public.mail_places_ordinal_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.mail_places_ordinal_seq OWNED BY public.mail_places.ordinal;

CREATE TABLE public.mail_sorted (
    id bigint NOT NULL,
    account text NOT NULL,
    identity text NOT NULL,
    cache_id integer,
    claimed_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    decided_at timestamp with time zone,
    category text,
    confidence double precision,
    decided_by text,
    reasons text[] DEFAULT '{}'::text[] NOT NULL,
    scores jsonb DEFAULT '{}'::jsonb NOT NULL,
    move_to text,
    moved_from_folder text,
    moved_from_uidvalidity bigint,
    moved_from_uid bigint,
    finished_at timestamp with time zone,
    problem text,
    CONSTRAINT mail_sorted_category_check CHECK ((category = ANY (ARRAY['urgent'::text, 'action_required'::text, 'informational'::text, 'promotional'::text, 'spam'::text])))
);

COMMENT ON TABLE public.mail_sorted IS 'Every mail that was sorted, with the decision, its reasons and how far it has come';

COMMENT ON COLUMN public.mail_sorted.cache_id IS 'its row in email_cache';

COMMENT ON COLUMN public.mail_sorted.moved_from_uid IS 'set right before the mail is moved: where it lay until then';

ALTER TABLE public.mail_sorted ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.mail_sorted_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.mail_suppressions (
    address text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    added_by text NOT NULL,
    added_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.mail_suppressions IS 'Who has unsubscribed: never written to again. Rows are never deleted';

COMMENT ON COLUMN public.mail_suppressions.address IS 'lower case, without what follows a + before the @';

CREATE TABLE public.metric_readings (
    source text NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    reading jsonb NOT NULL
);

COMMENT ON TABLE public.metric_readings IS 'The last raw counters of each source, from which the next rates are made';

CREATE TABLE public.site_changes (
    id bigint NOT NULL,
    site text NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    summary text NOT NULL,
    diff text NOT NULL,
    significance real,
    told_at timestamp with time zone,
    notice_claimed_at timestamp with time zone
);

COMMENT ON TABLE public.site_changes IS 'Every change of a watched page, with a readable difference';

ALTER TABLE public.site_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.site_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.site_checks (
    site text NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    ok boolean NOT NULL,
    maintenance boolean DEFAULT false NOT NULL,
    attempts smallint DEFAULT 1 NOT NULL,
    status integer,
    problem text,
    latency_ms real,
    dns_ms real,
    connect_ms real,
    tls_ms real,
    first_byte_ms real,
    total_ms real,
    size_bytes bigint,
    http_version text,
    address text
)
PARTITION BY RANGE (checked_at);

COMMENT ON TABLE public.site_checks IS 'One row a check of a site; a partition a day, dropped by retention';

COMMENT ON COLUMN public.site_checks.maintenance IS 'within a maintenance window: a failure does not count';

COMMENT ON COLUMN public.site_checks.latency_ms IS 'how long the whole check took: what limits and plots go by';

CREATE TABLE public.site_contents (
    site text NOT NULL,
    page text NOT NULL,
    digest text NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone
);

COMMENT ON TABLE public.site_contents IS 'What the watched part of a page said last, as extracted text';

CREATE TABLE public.site_days (
    site text NOT NULL,
    day date NOT NULL,
    checks integer NOT NULL,
    good integer NOT NULL,
    latency_ms real,
    CONSTRAINT site_days_check CHECK (((good >= 0) AND (good <= checks))),
    CONSTRAINT site_days_checks_check CHECK ((checks >= 0))
);

COMMENT ON TABLE public.site_days IS 'One row a site and UTC day that is over: its checks outside maintenance, and how many were good';

COMMENT ON COLUMN public.site_days.latency_ms IS 'the mean of the good checks';

CREATE TABLE public.site_incidents (
    id bigint NOT NULL,
    site text NOT NULL,
    kind text NOT NULL,
    severity text DEFAULT 'critical'::text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    reason text NOT NULL,
    ending text DEFAULT ''::text NOT NULL,
    alert_key text,
    opening_told_at timestamp with time zone,
    reminded_at timestamp with time zone,
    closing_told_at timestamp with time zone,
    notice_claimed_at timestamp with time zone,
    CONSTRAINT site_incidents_check CHECK ((closed_at >= opened_at)),
    CONSTRAINT site_incidents_kind_check CHECK ((kind = ANY (ARRAY['down'::text, 'slow'::text, 'certificate'::text]))),
    CONSTRAINT site_incidents_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])))
);

COMMENT ON TABLE public.site_incidents IS 'From when until when something was wrong with a site, and what';

COMMENT ON COLUMN public.site_incidents.alert_key IS 'the alert that tells of it: its own, or one for many at once';

COMMENT ON COLUMN public.site_incidents.notice_claimed_at IS 'somebody is sending a message; old = that process died';

ALTER TABLE public.site_incidents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.site_incidents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.site_pictures (
    id bigint NOT NULL,
    site text NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    viewport text NOT NULL,
    conditions text NOT NULL,
    file_digest text,
    width integer,
    height integer,
    bytes bigint,
    thumbnail_digest text,
    http_status integer,
    is_reference boolean DEFAULT false NOT NULL,
    reference_id bigint,
    changed_ratio double precision,
    regions jsonb DEFAULT '[]'::jsonb NOT NULL,
    diff_digest text,
    diff_thumbnail_digest text,
    problem text,
    says text,
    told_at timestamp with time zone,
    CONSTRAINT site_pictures_a_picture_or_a_problem CHECK (((file_digest IS NOT NULL) OR (problem IS NOT NULL))),
    CONSTRAINT site_pictures_a_reference_is_a_good_picture CHECK (((NOT is_reference) OR ((file_digest IS NOT NULL) AND (problem IS NULL)))),
    CONSTRAINT site_pictures_bytes_check CHECK ((bytes > 0)),
    CONSTRAINT site_pictures_changed_ratio_check CHECK (((changed_ratio >= (0)::double precision) AND (changed_ratio <= (1)::double precision))),
    CONSTRAINT site_pictures_height_check CHECK ((height > 0)),
    CONSTRAINT site_pictures_says_check CHECK ((says = ANY (ARRAY['changed'::text, 'failing'::text, 'recovered'::text]))),
    CONSTRAINT site_pictures_width_check CHECK ((width > 0))
);

COMMENT ON TABLE public.site_pictures IS 'One row per picture of a website that was taken, or could not be';

COMMENT ON COLUMN public.site_pictures.conditions IS 'digest of address and rules under which it was taken; only alike are compared';

COMMENT ON COLUMN public.site_pictures.file_digest IS 'SHA-256 of the image (PNG), its name under AEGIS_SCREENSHOT_DIR';

COMMENT ON COLUMN public.site_pictures.thumbnail_digest IS 'of a small WebP of it';

COMMENT ON COLUMN public.site_pictures.is_reference IS 'later pictures of the site are compared with its newest reference';

COMMENT ON COLUMN public.site_pictures.reference_id IS 'what it was compared with';

COMMENT ON COLUMN public.site_pictures.changed_ratio IS 'share of the pixels that differ, without what the rules ignore';

COMMENT ON COLUMN public.site_pictures.regions IS 'where it changed: [x, y, width, height] in pixels, the largest first';

COMMENT ON COLUMN public.site_pictures.diff_digest IS 'of the picture that marks what changed (PNG)';

COMMENT ON COLUMN public.site_pictures.problem IS 'why there is no picture, or why it is of no use to compare';

COMMENT ON COLUMN public.site_pictures.says IS 'what people are to be told because of it; told_at is when they were';

ALTER TABLE public.site_pictures ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.site_pictures_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.site_states (
    name text NOT NULL,
    target text NOT NULL,
    state text DEFAULT 'unknown'::text NOT NULL,
    since timestamp with time zone NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    successes integer DEFAULT 0 NOT NULL,
    history text DEFAULT ''::text NOT NULL,
    slow_history text DEFAULT ''::text NOT NULL,
    failing_since timestamp with time zone,
    problem text,
    status integer,
    latency_ms real,
    certificate_expires_at timestamp with time zone,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT site_states_failures_check CHECK ((failures >= 0)),
    CONSTRAINT site_states_history_check CHECK ((length(history) <= 20)),
    CONSTRAINT site_states_slow_history_check CHECK ((length(slow_history) <= 20)),
    CONSTRAINT site_states_state_check CHECK ((state = ANY (ARRAY['up'::text, 'down'::text, 'unknown'::text]))),
    CONSTRAINT site_states_successes_check CHECK ((successes >= 0))
);

COMMENT ON TABLE public.site_states IS 'One row a watched site: what the checks so far say of it';

COMMENT ON COLUMN public.site_states.checked_at IS 'when the run began that checked it last';

COMMENT ON COLUMN public.site_states.history IS 'the last checks that counted, newest last: . is good, x is failing';

COMMENT ON COLUMN public.site_states.slow_history IS 'the same for the limit of latency: . is quick enough, x is too slow';

COMMENT ON COLUMN public.site_states.failing_since IS 'the first of the failing checks that are now in a row';

CREATE TABLE public.state (
    key text NOT NULL,
    value text,
    updated_at timestamp with time zone DEFAULT now()
);

CREATE TABLE public.tasks (
    id bigint NOT NULL,
    title text NOT NULL,
    details text DEFAULT ''::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    priority smallint DEFAULT 2 NOT NULL,
    source text DEFAULT 'aegis'::text NOT NULL,
    source_key text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    due_at timestamp with time zone,
    CONSTRAINT tasks_priority_check CHECK (((priority >= 0) AND (priority <= 4))),
    CONSTRAINT tasks_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'in_progress'::text, 'blocked'::text, 'completed'::text, 'failed'::text])))
);

CREATE SEQUENCE public.tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.tasks_id_seq OWNED BY public.tasks.id;

ALTER TABLE ONLY public.discord_tasks ALTER COLUMN id SET DEFAULT nextval('public.discord_tasks_id_seq'::regclass);

ALTER TABLE ONLY public.email_cache ALTER COLUMN id SET DEFAULT nextval('public.email_cache_id_seq'::regclass);

ALTER TABLE ONLY public.episodic_memory ALTER COLUMN id SET DEFAULT nextval('public.episodic_memory_id_seq'::regclass);

ALTER TABLE ONLY public.mail_places ALTER COLUMN ordinal SET DEFAULT nextval('public.mail_places_ordinal_seq'::regclass);

ALTER TABLE ONLY public.tasks ALTER COLUMN id SET DEFAULT nextval('public.tasks_id_seq'::regclass);

ALTER TABLE ONLY public.alert_channels
    ADD CONSTRAINT alert_channels_pkey PRIMARY KEY (channel);

ALTER TABLE ONLY public.alert_deliveries
    ADD CONSTRAINT alert_deliveries_pkey PRIMARY KEY (notice_id, channel);

ALTER TABLE ONLY public.alert_notices
    ADD CONSTRAINT alert_notices_alert_id_kind_number_key UNIQUE (alert_id, kind, number);

ALTER TABLE ONLY public.alert_notices
    ADD CONSTRAINT alert_notices_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.alert_occurrences
    ADD CONSTRAINT alert_occurrences_pkey PRIMARY KEY (occurrence);

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.anomalies
    ADD CONSTRAINT anomalies_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.anomalies
    ADD CONSTRAINT anomalies_series_at_key UNIQUE (series, at);

ALTER TABLE ONLY public.anomaly_groups
    ADD CONSTRAINT anomaly_groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.anomaly_lessons
    ADD CONSTRAINT anomaly_lessons_group_id_series_above_key UNIQUE (group_id, series, above);

ALTER TABLE ONLY public.anomaly_lessons
    ADD CONSTRAINT anomaly_lessons_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.anomaly_series
    ADD CONSTRAINT anomaly_series_pkey PRIMARY KEY (series);

ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_key_key UNIQUE (key);

ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_message_id_key UNIQUE (message_id);

ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.config
    ADD CONSTRAINT config_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.container_metrics
    ADD CONSTRAINT container_metrics_key PRIMARY KEY (engine, name, at);

ALTER TABLE ONLY public.container_restarts
    ADD CONSTRAINT container_restarts_engine_name_case_started_at_attempt_key UNIQUE (engine, name, case_started_at, attempt);

ALTER TABLE ONLY public.container_restarts
    ADD CONSTRAINT container_restarts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.container_strikes
    ADD CONSTRAINT container_strikes_pkey PRIMARY KEY (engine, name);

ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_window_end_key UNIQUE (window_end);

ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_window_start_key UNIQUE (window_start);

ALTER TABLE ONLY public.discord_answers
    ADD CONSTRAINT discord_answers_pkey PRIMARY KEY (task_id);

ALTER TABLE ONLY public.discord_channels
    ADD CONSTRAINT discord_channels_pkey PRIMARY KEY (channel_id);

ALTER TABLE ONLY public.discord_tasks
    ADD CONSTRAINT discord_tasks_message_id_key UNIQUE (message_id);

ALTER TABLE ONLY public.discord_tasks
    ADD CONSTRAINT discord_tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.email_cache
    ADD CONSTRAINT email_cache_message_id_key UNIQUE (message_id);

ALTER TABLE ONLY public.email_cache
    ADD CONSTRAINT email_cache_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.episodic_memory
    ADD CONSTRAINT episodic_memory_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.host_metrics
    ADD CONSTRAINT host_metrics_key PRIMARY KEY (host, at);

ALTER TABLE ONLY public.installation_presence
    ADD CONSTRAINT installation_presence_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.job_ledger
    ADD CONSTRAINT job_ledger_pkey PRIMARY KEY (job_id, slug, due_at);

ALTER TABLE ONLY public.job_pauses
    ADD CONSTRAINT job_pauses_pkey PRIMARY KEY (job_id, slug, since);

ALTER TABLE ONLY public.job_schedules
    ADD CONSTRAINT job_schedules_pkey PRIMARY KEY (job_id, slug, since);

ALTER TABLE ONLY public.language_model_budgets
    ADD CONSTRAINT language_model_budgets_pkey PRIMARY KEY (day, scope);

ALTER TABLE ONLY public.language_model_exchanges
    ADD CONSTRAINT language_model_exchanges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.language_model_providers
    ADD CONSTRAINT language_model_providers_pkey PRIMARY KEY (provider);

ALTER TABLE ONLY public.ledger_cases
    ADD CONSTRAINT ledger_cases_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.mail_classifiers
    ADD CONSTRAINT mail_classifiers_pkey PRIMARY KEY (account);

ALTER TABLE ONLY public.mail_corrections
    ADD CONSTRAINT mail_corrections_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mail_drafts
    ADD CONSTRAINT mail_drafts_pkey PRIMARY KEY (account, identity);

ALTER TABLE ONLY public.mail_places
    ADD CONSTRAINT mail_places_pkey PRIMARY KEY (account, folder, uidvalidity, uid);

ALTER TABLE ONLY public.mail_sorted
    ADD CONSTRAINT mail_sorted_account_identity_key UNIQUE (account, identity);

ALTER TABLE ONLY public.mail_sorted
    ADD CONSTRAINT mail_sorted_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mail_suppressions
    ADD CONSTRAINT mail_suppressions_pkey PRIMARY KEY (address);

ALTER TABLE ONLY public.metric_readings
    ADD CONSTRAINT metric_readings_key PRIMARY KEY (source);

ALTER TABLE ONLY public.site_changes
    ADD CONSTRAINT site_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.site_checks
    ADD CONSTRAINT site_checks_pkey PRIMARY KEY (site, checked_at);

ALTER TABLE ONLY public.site_contents
    ADD CONSTRAINT site_contents_pkey PRIMARY KEY (site);

ALTER TABLE ONLY public.site_days
    ADD CONSTRAINT site_days_key PRIMARY KEY (site, day);

ALTER TABLE ONLY public.site_incidents
    ADD CONSTRAINT site_incidents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.site_pictures
    ADD CONSTRAINT site_pictures_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.site_states
    ADD CONSTRAINT site_states_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);

CREATE INDEX alert_notices_open ON public.alert_notices USING btree (id) WHERE (finished_at IS NULL);

CREATE INDEX alert_occurrences_seen ON public.alert_occurrences USING btree (seen_at);

CREATE INDEX alerts_closed ON public.alerts USING btree (closed_at) WHERE (closed_at IS NOT NULL);

CREATE INDEX alerts_not_closed ON public.alerts USING btree (id) WHERE (closed_at IS NULL);

CREATE UNIQUE INDEX alerts_open_key ON public.alerts USING btree (key) WHERE (resolved_at IS NULL);

CREATE INDEX alerts_suppressed ON public.alerts USING btree (suppressed_by) WHERE (suppressed_by IS NOT NULL);

CREATE INDEX anomalies_of_group ON public.anomalies USING btree (group_id, at);

CREATE INDEX anomaly_groups_by_time ON public.anomaly_groups USING btree (last_at);

CREATE UNIQUE INDEX anomaly_groups_open ON public.anomaly_groups USING btree (host, cause) WHERE (closed_at IS NULL);

CREATE INDEX anomaly_lessons_of_series ON public.anomaly_lessons USING btree (series, expires_at);

CREATE INDEX approvals_claimed ON public.approvals USING btree (claimed_at) WHERE (claimed_at IS NOT NULL);

CREATE INDEX approvals_open ON public.approvals USING btree (state, number) WHERE (state = ANY (ARRAY['pending'::text, 'approved'::text, 'sending'::text, 'unclear'::text]));

CREATE INDEX approvals_recipient ON public.approvals USING btree (recipient_key);

CREATE INDEX approvals_untold ON public.approvals USING btree (number) WHERE (told_state IS DISTINCT FROM state);

CREATE INDEX container_metrics_by_time ON ONLY public.container_metrics USING btree (at);

CREATE INDEX container_restarts_by_name ON public.container_restarts USING btree (engine, name, claimed_at);

CREATE INDEX discord_answers_open_idx ON public.discord_answers USING btree (channel_id) WHERE (answered_at IS NULL);

CREATE UNIQUE INDEX episodic_memory_aegis_key_idx ON public.episodic_memory USING btree (((metadata ->> 'aegis_key'::text))) WHERE ((metadata ->> 'aegis_key'::text) IS NOT NULL);

CREATE INDEX episodic_memory_embedding_idx ON public.episodic_memory USING hnsw (embedding public.vector_cosine_ops);

CREATE INDEX episodic_memory_event_type_idx ON public.episodic_memory USING btree (event_type);

CREATE INDEX episodic_memory_importance_idx ON public.episodic_memory USING btree (importance);

CREATE INDEX episodic_memory_low_idx ON public.episodic_memory USING btree ("timestamp") WHERE (importance = 'low'::public.memory_importance);

CREATE INDEX episodic_memory_tags_idx ON public.episodic_memory USING gin (tags);

CREATE INDEX episodic_memory_timestamp_idx ON public.episodic_memory USING btree ("timestamp" DESC);

CREATE INDEX host_metrics_by_time ON ONLY public.host_metrics USING btree (at);

CREATE INDEX installation_presence_last_seen_idx ON public.installation_presence USING btree (last_seen);

CREATE INDEX job_ledger_due_idx ON public.job_ledger USING btree (due_at);

CREATE INDEX job_ledger_of_job_idx ON public.job_ledger USING btree (job_id, due_at);

CREATE INDEX job_ledger_unsettled_idx ON public.job_ledger USING btree (due_at) WHERE (certainty < 2);

CREATE UNIQUE INDEX job_pauses_open_idx ON public.job_pauses USING btree (job_id, slug) WHERE (until IS NULL);

CREATE UNIQUE INDEX job_schedules_in_force_idx ON public.job_schedules USING btree (job_id, slug) WHERE (until IS NULL);

CREATE INDEX language_model_exchanges_asked ON public.language_model_exchanges USING btree (asked_at);

CREATE INDEX mail_corrections_of_a_mail ON public.mail_corrections USING btree (mail_id);

CREATE INDEX mail_corrections_unlearned ON public.mail_corrections USING btree (id) WHERE (learned_at IS NULL);

CREATE INDEX mail_places_of_a_mail ON public.mail_places USING btree (mail_id);

CREATE INDEX mail_places_uid ON public.mail_places USING btree (uid);

CREATE INDEX mail_sorted_decided ON public.mail_sorted USING btree (decided_at);

CREATE INDEX mail_sorted_unfinished ON public.mail_sorted USING btree (account, claimed_at) WHERE (finished_at IS NULL);

CREATE INDEX site_changes_by_site ON public.site_changes USING btree (site, changed_at);

CREATE INDEX site_changes_by_time ON public.site_changes USING btree (changed_at);

CREATE INDEX site_changes_untold ON public.site_changes USING btree (id) WHERE (told_at IS NULL);

CREATE INDEX site_days_by_day ON public.site_days USING btree (day);

CREATE INDEX site_incidents_by_site ON public.site_incidents USING btree (site, opened_at);

CREATE INDEX site_incidents_by_time ON public.site_incidents USING btree (opened_at);

CREATE UNIQUE INDEX site_incidents_open ON public.site_incidents USING btree (site, kind) WHERE (closed_at IS NULL);

CREATE INDEX site_incidents_untold ON public.site_incidents USING btree (id) WHERE ((opening_told_at IS NULL) OR ((closed_at IS NOT NULL) AND (closing_told_at IS NULL)));

CREATE INDEX site_pictures_compared ON public.site_pictures USING btree (reference_id) WHERE (reference_id IS NOT NULL);

CREATE INDEX site_pictures_newest ON public.site_pictures USING btree (site, id DESC);

CREATE INDEX site_pictures_references ON public.site_pictures USING btree (site, id DESC) WHERE is_reference;

CREATE INDEX site_pictures_taken ON public.site_pictures USING btree (taken_at);

CREATE INDEX site_pictures_untold ON public.site_pictures USING btree (id) WHERE ((says IS NOT NULL) AND (told_at IS NULL));

CREATE INDEX tasks_finished_idx ON public.tasks USING btree (status, completed_at);

CREATE INDEX tasks_pending_idx ON public.tasks USING btree (priority, due_at) WHERE (status = 'pending'::text);

CREATE UNIQUE INDEX tasks_source_key_idx ON public.tasks USING btree (source_key) WHERE (source_key IS NOT NULL);

ALTER TABLE ONLY public.alert_deliveries
    ADD CONSTRAINT alert_deliveries_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES public.alert_notices(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_notices
    ADD CONSTRAINT alert_notices_alert_id_fkey FOREIGN KEY (alert_id) REFERENCES public.alerts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_suppressed_by_fkey FOREIGN KEY (suppressed_by) REFERENCES public.alerts(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.anomalies
    ADD CONSTRAINT anomalies_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.anomaly_groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.anomaly_lessons
    ADD CONSTRAINT anomaly_lessons_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.anomaly_groups(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.mail_corrections
    ADD CONSTRAINT mail_corrections_mail_id_fkey FOREIGN KEY (mail_id) REFERENCES public.mail_sorted(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.mail_places
    ADD CONSTRAINT mail_places_mail_id_fkey FOREIGN KEY (mail_id) REFERENCES public.mail_sorted(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.site_pictures
    ADD CONSTRAINT site_pictures_reference_id_fkey FOREIGN KEY (reference_id) REFERENCES public.site_pictures(id) ON DELETE SET NULL;
