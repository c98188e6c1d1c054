-- What a run writes down beside the product's own history: every change of a job's state, of a file's and of the journal, with the
-- role that made it. Each worker has a role of its own, so a write by somebody who holds nothing any more shows.

create schema chaos;

create table chaos.jobs (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null default session_user,
    job         uuid not null,
    file        uuid not null,
    life        integer not null,
    token       bigint not null,
    status_from text not null,
    status_to   text not null,
    holder_from text,
    holder_to   text
);

create function chaos.job_changed() returns trigger language plpgsql as $$
begin
    insert into chaos.jobs (job, file, life, token, status_from, status_to, holder_from, holder_to)
    values (new.id, new.file_id, new.life, new.lease_token, old.status, new.status, old.locked_by, new.locked_by);
    return null;
end
$$;

create trigger chaos_job_changed after update on processing_jobs for each row
    when (old.status is distinct from new.status or old.life <> new.life or old.lease_token <> new.lease_token)
    execute function chaos.job_changed();

create table chaos.files (
    id          bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null default session_user,
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
    when (old.status is distinct from new.status or old.storage_key_report is distinct from new.storage_key_report)
    execute function chaos.file_changed();

create table chaos.answers (
    id            bigint generated always as identity primary key,
    at            timestamptz not null default clock_timestamp(),
    actor         text not null default session_user,
    -- Who held the job then, by its row, which whoever writes an answer keeps locked.
    holder        text,
    job           uuid not null,
    life          integer not null,
    ordinal       integer not null,
    token         bigint not null,
    prompt_sha256 bytea not null,
    key           text not null
);

create function chaos.answer_written() returns trigger language plpgsql as $$
begin
    insert into chaos.answers (holder, job, life, ordinal, token, prompt_sha256, key)
    select j.locked_by, new.job_id, new.life, new.ordinal, new.lease_token, new.prompt_sha256, new.key
      from processing_jobs j
     where j.id = new.job_id;
    return null;
end
$$;

create trigger chaos_answer_written after insert or update on job_answers for each row
    execute function chaos.answer_written();
