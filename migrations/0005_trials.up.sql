-- Releases on trial: what each attempt cost on which guest, candidates in the shadow, and canaries that halt themselves.

alter table job_attempts
    -- The release that the attempt ran on, lower hex.
    add column guest_digest text,
    -- The channel of the job at that time.
    add column channel text,
    -- Time in the sandbox, from instantiation to drop.
    add column guest_micros bigint not null default 0,
    -- The report of a success: it stays known when a rerun has made the next one.
    add column report_key text;

-- Of a file that is not being run anew, the last success is known.
update job_attempts a set report_key = f.storage_key_report
  from processing_jobs j join files f on f.id = j.file_id
 where j.id = a.job_id and j.status = 'succeeded' and a.life = j.life and a.outcome = 'succeeded';

-- What a canary is judged by: the attempts of two releases since it began.
create index job_attempts_release on job_attempts (guest_digest, ended_at) where guest_digest is not null;
-- Answers are pruned by age.
create index job_answers_received on job_answers (received_at);

alter table release_channels
    -- Runs beside the active release, on the same answers, and writes nothing to the file.
    add column shadow text references guest_releases (digest),
    add constraint release_channels_shadow_beside_active check (shadow is null or active is not null),
    add constraint release_channels_shadow_is_another check (shadow is null or shadow <> active);

alter table release_changes
    drop constraint release_changes_action_check,
    add constraint release_changes_action_check
        check (action in ('publish', 'activate', 'canary', 'shadow', 'promote', 'halt', 'rollback', 'retire'));

-- What a candidate made of a file's answers, beside what the active release made of them: the last result per file.
create table release_shadows (
    digest       text not null references guest_releases (digest) on delete cascade,
    file_id      uuid not null references files (id) on delete cascade,
    -- The release whose job it was.
    beside       text not null,
    channel      text not null,
    result       text not null
                 check (result in ('same', 'changed', 'newly_accepted', 'newly_rejected', 'diverged', 'fault')),
    -- Where the reports differ, in words of their schemas.
    pointers     text[] not null default '{}',
    -- Of a fault.
    code         text,
    guest_micros bigint not null default 0,
    at           timestamptz not null default now(),
    primary key (digest, file_id)
);

create index release_shadows_file on release_shadows (file_id);
