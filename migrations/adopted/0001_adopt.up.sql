-- The tables of another program, with what Assay needs beside its columns. No column of it is changed, and none of its
-- constraints: both programs go on with the rows as they are.

-- Rather fail than stand in front of a program that is at work: whoever waits for a lock lets nobody pass.
set local lock_timeout = '10s';

alter table files
    add column attributes   jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
    add column guest_digest text;

alter table processing_jobs
    add column channel             text not null default 'default',
    add column priority            integer not null default 0,
    add column lease_token         bigint not null default 0,
    add column prompt_version      text,
    add column guest_digest        text,
    add column snoozes             integer not null default 0 check (snoozes >= 0),
    add column cancel_requested_at timestamptz,
    add column life                integer not null default 1 check (life >= 1),
    add column last_error_step     text;

create index processing_jobs_claim on processing_jobs (priority desc, next_run_at, id) where status = 'queued';
create index processing_jobs_running on processing_jobs (id) where status = 'processing';
