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

CREATE TABLE public.config (
    key text NOT NULL,
    value text
);

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

ALTER TABLE ONLY public.episodic_memory ALTER COLUMN id SET DEFAULT nextval('public.episodic_memory_id_seq'::regclass);

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

ALTER TABLE ONLY public.config
    ADD CONSTRAINT config_pkey PRIMARY KEY (key);

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

ALTER TABLE ONLY public.episodic_memory
    ADD CONSTRAINT episodic_memory_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.installation_presence
    ADD CONSTRAINT installation_presence_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.job_ledger
    ADD CONSTRAINT job_ledger_pkey PRIMARY KEY (job_id, slug, due_at);

ALTER TABLE ONLY public.job_pauses
    ADD CONSTRAINT job_pauses_pkey PRIMARY KEY (job_id, slug, since);

ALTER TABLE ONLY public.job_schedules
    ADD CONSTRAINT job_schedules_pkey PRIMARY KEY (job_id, slug, since);

ALTER TABLE ONLY public.ledger_cases
    ADD CONSTRAINT ledger_cases_pkey PRIMARY KEY (key);

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

CREATE INDEX container_restarts_by_name ON public.container_restarts USING btree (engine, name, claimed_at);

CREATE UNIQUE INDEX episodic_memory_aegis_key_idx ON public.episodic_memory USING btree (((metadata ->> 'aegis_key'::text))) WHERE ((metadata ->> 'aegis_key'::text) IS NOT NULL);

CREATE INDEX episodic_memory_embedding_idx ON public.episodic_memory USING hnsw (embedding public.vector_cosine_ops);

CREATE INDEX episodic_memory_event_type_idx ON public.episodic_memory USING btree (event_type);

CREATE INDEX episodic_memory_importance_idx ON public.episodic_memory USING btree (importance);

CREATE INDEX episodic_memory_low_idx ON public.episodic_memory USING btree ("timestamp") WHERE (importance = 'low'::public.memory_importance);

CREATE INDEX episodic_memory_tags_idx ON public.episodic_memory USING gin (tags);

CREATE INDEX episodic_memory_timestamp_idx ON public.episodic_memory USING btree ("timestamp" DESC);

CREATE INDEX installation_presence_last_seen_idx ON public.installation_presence USING btree (last_seen);

CREATE INDEX job_ledger_due_idx ON public.job_ledger USING btree (due_at);

CREATE INDEX job_ledger_of_job_idx ON public.job_ledger USING btree (job_id, due_at);

CREATE INDEX job_ledger_unsettled_idx ON public.job_ledger USING btree (due_at) WHERE (certainty < 2);

CREATE UNIQUE INDEX job_pauses_open_idx ON public.job_pauses USING btree (job_id, slug) WHERE (until IS NULL);

CREATE UNIQUE INDEX job_schedules_in_force_idx ON public.job_schedules USING btree (job_id, slug) WHERE (until IS NULL);

CREATE INDEX tasks_finished_idx ON public.tasks USING btree (status, completed_at);

CREATE INDEX tasks_pending_idx ON public.tasks USING btree (priority, due_at) WHERE (status = 'pending'::text);

CREATE UNIQUE INDEX tasks_source_key_idx ON public.tasks USING btree (source_key) WHERE (source_key IS NOT NULL);

ALTER TABLE ONLY public.alert_deliveries
    ADD CONSTRAINT alert_deliveries_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES public.alert_notices(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_notices
    ADD CONSTRAINT alert_notices_alert_id_fkey FOREIGN KEY (alert_id) REFERENCES public.alerts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_suppressed_by_fkey FOREIGN KEY (suppressed_by) REFERENCES public.alerts(id) ON DELETE SET NULL;
