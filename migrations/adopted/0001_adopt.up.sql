-- The tables of another program, with what Assay needs beside its columns. No column of it is changed, and none of its
-- constraints: both programs go on with the rows as they are.

-- Rather fail than stand in front of a program that is at work, which lets nobody pass; and sooner than the server looks for a deadlock,
-- so that none of its transactions is the one that is sacrificed. `assay migrate` tries again.
set local lock_timeout = '900ms';
lock table processing_jobs, files in access exclusive mode;

alter table files
    add column attributes   jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
    add column guest_digest text;

alter table processing_jobs
    add column channel             text not null default 'default',
    add column priority            integer not null default 0,
    -- Begins at the time, in microseconds, and not at 0: a job that was Assay's before a down, or a row that was deleted and made again under the same id, never
    -- gets a token that was given before, with the key of a report in it.
    add column lease_token         bigint not null default (extract(epoch from now()) * 1000000)::bigint,
    add column prompt_version      text,
    add column guest_digest        text,
    add column snoozes             integer not null default 0 check (snoozes >= 0),
    add column cancel_requested_at timestamptz,
    add column life                integer not null default 1 check (life >= 1),
    add column last_error_step     text;

create index processing_jobs_claim on processing_jobs (priority desc, next_run_at, id) where status = 'queued';
create index processing_jobs_running on processing_jobs (id) where status = 'processing';
