-- A deployment of another program, invented: the tables that Assay adopts, and one that it leaves alone.

create table users (
    id    uuid primary key,
    email varchar(255) not null unique
);

create table files (
    id                         uuid primary key,
    user_id                    uuid not null references users (id),
    storage_bucket             varchar(63) not null,
    storage_key_original       text not null,
    original_filename          varchar(255) not null,
    extension                  varchar(8) not null,
    mime_type                  varchar(127) not null,
    size_bytes                 bigint not null,
    status                     text not null default 'uploaded',
    error_code                 text,
    error_message              text,
    storage_key_report         text,
    storage_key_raw_llm_output text,
    prompt_version             text,
    schema_version             text,
    processing_attempts        integer not null default 0,
    queued_at                  timestamptz,
    started_at                 timestamptz,
    processed_at               timestamptz,
    created_at                 timestamptz not null,
    updated_at                 timestamptz not null,
    constraint files_status_check check (status in ('uploaded', 'queued', 'processing', 'succeeded', 'failed')),
    constraint files_succeeded_check check (status <> 'succeeded' or storage_key_report is not null)
);

create table processing_jobs (
    id                 uuid primary key,
    file_id            uuid not null unique references files (id) on delete cascade,
    status             text not null default 'queued',
    attempts           integer not null default 0,
    max_attempts       integer not null default 5,
    next_run_at        timestamptz not null default now(),
    locked_by          text,
    locked_at          timestamptz,
    heartbeat_at       timestamptz,
    lock_ttl_seconds   integer not null default 300,
    last_error_code    text,
    last_error_message text,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    constraint processing_jobs_status_check check (status in ('queued', 'processing', 'succeeded', 'failed')),
    constraint processing_jobs_lock_pair_check check ((locked_by is null) = (locked_at is null)),
    constraint processing_jobs_attempts_check check (attempts <= max_attempts)
);

create index processing_jobs_due on processing_jobs (next_run_at) where status = 'queued';
