-- What happened to each claim, what the model answered, and who is at work.

create table job_attempts (
    job_id      uuid not null references processing_jobs (id) on delete cascade,
    lease_token bigint not null,
    life        integer not null,
    attempt     integer not null,
    worker      text not null,
    started_at  timestamptz not null,
    ended_at    timestamptz not null default now(),
    outcome     text not null
                check (outcome in ('succeeded', 'failed', 'retried', 'snoozed', 'held', 'released', 'lost')),
    code        text,
    step        text,
    message     text,
    tokens_in   bigint not null default 0,
    tokens_out  bigint not null default 0,
    primary key (job_id, lease_token)
);

create index job_attempts_ended on job_attempts (ended_at);

create table job_answers (
    job_id        uuid not null references processing_jobs (id) on delete cascade,
    life          integer not null,
    -- Position among the answers of this life, in the order of the questions.
    ordinal       integer not null check (ordinal >= 0),
    lease_token   bigint not null,
    prompt_sha256 bytea not null,
    key           text not null,
    sha256        bytea not null,
    model         text not null,
    finish_reason text not null,
    tokens_in     bigint,
    tokens_out    bigint,
    received_at   timestamptz not null default now(),
    primary key (job_id, life, ordinal)
);

create table workers (
    -- Host, process id and a UUID per start: a name that no other process ever has.
    id         text primary key,
    version    text not null,
    started_at timestamptz not null default now(),
    beat_at    timestamptz not null default now(),
    slots      integer not null,
    -- [{"prompt_version": …, "schema_version": …, "digest": …}]
    releases   jsonb not null default '[]',
    -- Reasons for which this worker claims nothing at the moment.
    breakers   jsonb not null default '[]',
    stopped_at timestamptz
);

create index workers_beat on workers (beat_at);
