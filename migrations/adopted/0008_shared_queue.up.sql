-- Two programs on one queue: what keeps the other one, which knows neither lease tokens nor lives, from harming Assay's
-- claims, and Assay from harming its.

set local lock_timeout = '900ms';
lock table processing_jobs, files in access exclusive mode;

-- A down has left it, so that no worker claims while the tables are half there.
delete from queue_pauses where actor = 'assay migrate';

-- The other program's `lock_ttl_seconds`, as its column's default says.
do $$
declare
    seconds text;
begin
    select pg_get_expr(d.adbin, d.adrelid) into strict seconds
      from pg_attribute a
      join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'processing_jobs'::regclass and a.attname = 'lock_ttl_seconds';
    execute format('create function assay_lock_ttl() returns integer language sql immutable as %L', 'select (' || seconds || ')::integer');
end
$$;

-- The fence. Assay's claims move the token themselves; whoever takes a lock and leaves the token as it is, is the other
-- program, and the token moves under the worker of Assay that had the job. What comes out of the hands of such a worker
-- gets the other program's patience back: the lease of Assay is shorter than its beat.
create function assay_fence() returns trigger language plpgsql security definer as $$
declare
    was_ours boolean := exists (select from workers w where w.id = old.locked_by);
begin
    if was_ours and new.lock_ttl_seconds = old.lock_ttl_seconds then
        new.lock_ttl_seconds := assay_lock_ttl();
    end if;
    if new.locked_by is not null then
        new.lease_token := old.lease_token + 1;
        -- The worker will never settle it: its attempt is lost.
        if was_ours and old.status = 'processing' then
            insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome, code, message,
                                      tokens_in, tokens_out, guest_digest, channel)
            select old.id, old.lease_token, old.life, old.attempts, old.locked_by, coalesce(old.locked_at, now()), 'lost',
                   'worker_lost', 'another program took the job over', coalesce(sum(a.tokens_in), 0),
                   coalesce(sum(a.tokens_out), 0), old.guest_digest, old.channel
              from job_answers a
             where a.job_id = old.id and a.life = old.life and a.lease_token = old.lease_token
            on conflict do nothing;
        end if;
    end if;
    return new;
end
$$;

-- Also of a claim in two steps, whichever of the two comes first.
create trigger processing_jobs_fence before update on processing_jobs
    for each row when (new.lease_token = old.lease_token
                       and (new.locked_by is distinct from old.locked_by
                            or (new.status = 'processing' and old.status <> 'processing')))
    execute function assay_fence();

-- The other program's way to run a file anew: a new life, with nothing left of the one before.
create function assay_new_life() returns trigger language plpgsql as $$
begin
    new.life := old.life + 1;
    new.snoozes := 0;
    new.prompt_version := null;
    new.guest_digest := null;
    new.cancel_requested_at := null;
    new.last_error_step := null;
    return new;
end
$$;

create trigger processing_jobs_new_life before update on processing_jobs
    for each row when (old.status in ('succeeded', 'failed') and new.status in ('queued', 'processing')
                       and new.life = old.life)
    execute function assay_new_life();

-- The other program may give each value itself and have no defaults; `assay_enqueue` and `assay submit` rely on them. No job waits for a
-- moment that is none.
create function assay_fill_job() returns trigger language plpgsql as $$
begin
    new.id := coalesce(new.id, gen_random_uuid());
    new.status := coalesce(new.status, 'queued');
    new.attempts := coalesce(new.attempts, 0);
    new.max_attempts := coalesce(new.max_attempts, 4);
    new.next_run_at := coalesce(new.next_run_at, now());
    if not isfinite(new.next_run_at) then
        new.next_run_at := case when new.next_run_at < now() then now() else now() + interval '100 years' end;
    end if;
    new.created_at := coalesce(new.created_at, now());
    new.updated_at := coalesce(new.updated_at, now());
    return new;
end
$$;

create trigger processing_jobs_fill before insert on processing_jobs
    for each row execute function assay_fill_job();
create trigger processing_jobs_finite before update on processing_jobs
    for each row when (not isfinite(new.next_run_at)) execute function assay_fill_job();

create function assay_fill_file() returns trigger language plpgsql as $$
begin
    new.status := coalesce(new.status, 'uploaded');
    new.processing_attempts := coalesce(new.processing_attempts, 0);
    new.created_at := coalesce(new.created_at, now());
    new.updated_at := coalesce(new.updated_at, now());
    return new;
end
$$;

create trigger files_fill before insert on files
    for each row execute function assay_fill_file();

-- A producer that inserts the job and says `queued` in the file's row only afterwards may come when the job has ended. Looked at when
-- the producer commits, because a new life of the job may be on its way in the same transaction.
create function assay_keep_ended() returns trigger language plpgsql security definer as $$
begin
    if exists (select from processing_jobs j where j.file_id = new.id and j.status in ('succeeded', 'failed')) then
        update files f
           set status = old.status, error_code = old.error_code, error_message = old.error_message,
               storage_key_report = old.storage_key_report,
               storage_key_raw_llm_output = old.storage_key_raw_llm_output,
               prompt_version = old.prompt_version, schema_version = old.schema_version,
               processing_attempts = old.processing_attempts, started_at = old.started_at,
               processed_at = old.processed_at
         where f.id = new.id and f.status = 'queued';
    end if;
    return null;
end
$$;

create constraint trigger files_keep_ended after update on files
    deferrable initially deferred
    for each row when (new.status = 'queued' and old.status in ('succeeded', 'failed'))
    execute function assay_keep_ended();

-- The same where the other program has ended the file first and the job in a transaction of its own, with the producer in between.
create function assay_end_late() returns trigger language plpgsql security definer as $$
begin
    update files f
       set status = new.status, processed_at = coalesce(f.processed_at, now()),
           error_code = case when new.status = 'failed' then coalesce(f.error_code, new.last_error_code, 'failed') end,
           error_message = case when new.status = 'failed' then coalesce(f.error_message, new.last_error_message) end
     where f.id = new.file_id and f.status = 'queued' and (new.status = 'failed' or f.storage_key_report is not null)
       and exists (select from processing_jobs j where j.id = new.id and j.status = new.status and j.life = new.life);
    return null;
end
$$;

create constraint trigger processing_jobs_end_late after update on processing_jobs
    deferrable initially deferred
    for each row when (new.status in ('succeeded', 'failed') and old.status not in ('succeeded', 'failed'))
    execute function assay_end_late();

-- The guest that made the report before did not make one that the other program has written.
create function assay_other_report() returns trigger language plpgsql as $$
begin
    new.guest_digest := null;
    return new;
end
$$;

create trigger files_other_report before update on files
    for each row when (new.storage_key_report is distinct from old.storage_key_report
                       and new.guest_digest is not null and new.guest_digest is not distinct from old.guest_digest
                       and new.storage_key_report !~ '/runs/[0-9a-f-]{36}-[0-9]+/report\.json$')
    execute function assay_other_report();

-- These run with their owner's rights, because the other program's roles know nothing of Assay's tables: so on this
-- schema's tables, whatever the caller's path and temporary tables are, and in no trigger of anybody else's.
do $$
declare
    name text;
begin
    foreach name in array array['assay_fence', 'assay_keep_ended', 'assay_end_late'] loop
        execute format('alter function %I() set search_path = %I, pg_temp', name, current_schema());
        execute format('revoke execute on function %I() from public', name);
    end loop;
end
$$;
