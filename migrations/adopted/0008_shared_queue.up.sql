-- Two programs on one queue: what keeps the other one, which knows neither lease tokens nor lives, from harming Assay's
-- claims, and Assay from harming its.

set local lock_timeout = '10s';

-- The other program's `lock_ttl_seconds`, as its column's default says.
do $$
declare
    seconds text;
begin
    select pg_get_expr(d.adbin, d.adrelid) into strict seconds
      from pg_attribute a
      join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'processing_jobs'::regclass and a.attname = 'lock_ttl_seconds';
    execute format('create function assay_lock_ttl() returns integer language sql immutable as %L', 'select ' || seconds);
end
$$;

-- The fence. Assay's claims move the token themselves; whoever takes a lock and leaves the token as it is, is the other
-- program, and the token moves under the worker of Assay that had the job. Whoever gives a lock away gets the job with the other program's
-- patience: the lease of Assay is shorter than its beat.
create function assay_fence() returns trigger language plpgsql security definer as $$
begin
    if new.lock_ttl_seconds = old.lock_ttl_seconds then
        new.lock_ttl_seconds := assay_lock_ttl();
    end if;
    if new.locked_by is not null then
        new.lease_token := old.lease_token + 1;
        -- Taken out of the hands of a worker of Assay, which will never settle it: its attempt is lost.
        if old.status = 'processing' and exists (select from workers w where w.id = old.locked_by) then
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

create trigger processing_jobs_fence before update on processing_jobs
    for each row when (new.locked_by is distinct from old.locked_by and new.lease_token = old.lease_token)
    execute function assay_fence();

-- The other program may give each value itself and have no defaults; `assay_enqueue` and `assay submit` rely on them.
create function assay_fill_job() returns trigger language plpgsql as $$
begin
    new.id := coalesce(new.id, gen_random_uuid());
    new.status := coalesce(new.status, 'queued');
    new.attempts := coalesce(new.attempts, 0);
    new.max_attempts := coalesce(new.max_attempts, 4);
    new.next_run_at := coalesce(new.next_run_at, now());
    new.created_at := coalesce(new.created_at, now());
    new.updated_at := coalesce(new.updated_at, now());
    return new;
end
$$;

create trigger processing_jobs_fill before insert on processing_jobs
    for each row execute function assay_fill_job();

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

-- These two run with their owner's rights, because the other program's roles know nothing of Assay's tables: so on this
-- schema's tables, whatever the caller's path and temporary tables are.
do $$
begin
    execute format('alter function assay_fence() set search_path = %I, pg_temp', current_schema());
    execute format('alter function assay_keep_ended() set search_path = %I, pg_temp', current_schema());
end
$$;
