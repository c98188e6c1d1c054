-- What a run writes down beside the product's own history: every change of a job's state, of a file's and of the journal, with the
-- process that made it, so that a write by somebody who holds nothing any more shows.

create schema chaos;

-- The worker's process, where a session says which one it is, or its role.
create function chaos.actor() returns text language sql stable as $$
    select coalesce(nullif(current_setting('chaos.worker', true), ''), session_user)
$$;

create table chaos.jobs (
    id          bigint generated always as identity primary key,
    transaction xid8 not null default pg_current_xact_id(),
    at          timestamptz not null default clock_timestamp(),
    actor       text not null default chaos.actor(),
    job         uuid not null,
    file        uuid not null,
    life        integer not null,
    token       bigint not null,
    status_from text not null,
    status_to   text not null,
    holder_from text,
    holder_to   text,
    code        text,
    -- Until when the claim before it was to last.
    lease_until timestamptz
);

create index on chaos.jobs (file);

create function chaos.job_changed() returns trigger language plpgsql as $$
begin
    insert into chaos.jobs (job, file, life, token, status_from, status_to, holder_from, holder_to, code, lease_until)
    values (new.id, new.file_id, new.life, new.lease_token, old.status, new.status, old.locked_by, new.locked_by,
            new.last_error_code,
            greatest(old.heartbeat_at, old.locked_at) + make_interval(secs => old.lock_ttl_seconds));
    return null;
end
$$;

create trigger chaos_job_changed after update on processing_jobs for each row
    when (old.status is distinct from new.status or old.life <> new.life or old.lease_token <> new.lease_token)
    execute function chaos.job_changed();

-- A beat by a process for a claim that is another one's.
create table chaos.beats (
    actor  text not null default chaos.actor(),
    job    uuid not null,
    holder text
);

create function chaos.job_beaten() returns trigger language plpgsql as $$
begin
    if chaos.actor() ~ '^(w|old)[0-9]' and new.locked_by <> chaos.actor()
       and not starts_with(new.locked_by, chaos.actor() || '-') then
        insert into chaos.beats (job, holder) values (new.id, new.locked_by);
    end if;
    return null;
end
$$;

create trigger chaos_job_beaten after update on processing_jobs for each row
    when (old.heartbeat_at is distinct from new.heartbeat_at and new.status = 'processing')
    execute function chaos.job_beaten();

create table chaos.files (
    id          bigint generated always as identity primary key,
    transaction xid8 not null default pg_current_xact_id(),
    at          timestamptz not null default clock_timestamp(),
    actor       text not null default chaos.actor(),
    file        uuid not null,
    status_from text not null,
    status_to   text not null,
    report_from text,
    report_to   text
);

create function chaos.file_changed() returns trigger language plpgsql as $$
begin
    insert into chaos.files (file, status_from, status_to, report_from, report_to)
    values (new.id, old.status, new.status, old.storage_key_report, new.storage_key_report);
    return null;
end
$$;

create trigger chaos_file_changed after update on files for each row
    when (old.* is distinct from new.*)
    execute function chaos.file_changed();

create table chaos.answers (
    id            bigint generated always as identity primary key,
    at            timestamptz not null default clock_timestamp(),
    actor         text not null default chaos.actor(),
    -- Who held the job then and under which token, by its row, which whoever writes an answer keeps locked.
    holder        text,
    held          bigint,
    job           uuid not null,
    life          integer not null,
    ordinal       integer not null,
    token         bigint not null,
    prompt_sha256 bytea not null,
    key           text not null
);

create function chaos.answer_written() returns trigger language plpgsql as $$
begin
    insert into chaos.answers (holder, held, job, life, ordinal, token, prompt_sha256, key)
    select j.locked_by, j.lease_token, new.job_id, new.life, new.ordinal, new.lease_token, new.prompt_sha256, new.key
      from processing_jobs j
     where j.id = new.job_id;
    return null;
end
$$;

create trigger chaos_answer_written after insert or update on job_answers for each row
    execute function chaos.answer_written();
