-- The two rows that everything is about: what the user sees, and what the scheduler does.

create table files (
    id                         uuid primary key default gen_random_uuid(),
    user_id                    uuid not null,
    storage_bucket             text not null,
    storage_key_original       text not null,
    original_filename          text not null default '',
    extension                  text not null check (extension in ('txt', 'vtt')),
    mime_type                  text not null,
    size_bytes                 bigint not null check (size_bytes >= 0),
    -- Facts that the application attaches: an object of strings, handed to the guest.
    attributes                 jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
    status                     text not null default 'uploaded'
                               check (status in ('uploaded', 'queued', 'processing', 'succeeded', 'failed')),
    error_code                 text,
    error_message              text,
    storage_key_report         text,
    storage_key_raw_llm_output text,
    prompt_version             text,
    schema_version             text,
    guest_digest               text,
    processing_attempts        integer not null default 0,
    queued_at                  timestamptz,
    started_at                 timestamptz,
    processed_at               timestamptz,
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    constraint files_succeeded_has_report
        check (status <> 'succeeded' or (storage_key_report is not null and processed_at is not null)),
    constraint files_failed_has_code
        check (status <> 'failed' or (error_code is not null and processed_at is not null))
);

create index files_user on files (user_id, created_at);

create table processing_jobs (
    id                  uuid primary key default gen_random_uuid(),
    -- One job per file: a rerun renews the row. Restrict: a file with a job is deleted job first, never under a worker.
    file_id             uuid not null unique references files (id) on delete restrict,
    status              text not null default 'queued'
                        check (status in ('queued', 'processing', 'succeeded', 'failed')),
    channel             text not null default 'default',
    -- The greater, the sooner.
    priority            integer not null default 0,
    -- Attempts begun in this life; the one in hand included.
    attempts            integer not null default 0 check (attempts >= 0),
    max_attempts        integer not null default 4 check (max_attempts >= 1),
    next_run_at         timestamptz not null default now() check (isfinite(next_run_at)),
    locked_by           text,
    locked_at           timestamptz,
    heartbeat_at        timestamptz,
    -- The lease of the holder; 300 whenever nobody of ours holds the job.
    lock_ttl_seconds    integer not null default 300 check (lock_ttl_seconds >= 1),
    -- Grows at each claim and never goes back: the fence.
    lease_token         bigint not null default 0,
    prompt_version      text,
    -- The guest that the first claim of this life pinned, lower hex.
    guest_digest        text,
    snoozes             integer not null default 0 check (snoozes >= 0),
    cancel_requested_at timestamptz,
    -- How often the row has been begun; one finalization per life.
    life                integer not null default 1 check (life >= 1),
    last_error_code     text,
    last_error_step     text,
    last_error_message  text,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    constraint processing_jobs_lock_follows_status check (
        (status = 'processing') = (locked_by is not null)
        and (locked_by is null) = (locked_at is null)
        and (locked_by is null) = (heartbeat_at is null)
    )
) with (
    -- A job's row is updated about five times in its life; room on the page keeps the updates that touch no index HOT.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05
);

-- Exactly the order of the claim, and only rows that can be claimed.
create index processing_jobs_claim on processing_jobs (priority desc, next_run_at, id) where status = 'queued';
-- The reaper reads the few that run. heartbeat_at is in no index, so that a beat stays a HOT update.
create index processing_jobs_running on processing_jobs (id) where status = 'processing';
