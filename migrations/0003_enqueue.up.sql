-- The way in: one function for applications in any language, and a wake-up for those who insert rows themselves.

-- Statement-level and without payload: a bulk insert wakes the workers once.
create function assay_wake() returns trigger language plpgsql as $$
begin
    perform pg_notify('assay_jobs', '');
    return null;
end
$$;

create trigger processing_jobs_wake after insert on processing_jobs
    for each statement execute function assay_wake();

-- Creates or renews the job of a file and sets the file `queued`, in the caller's transaction.
-- A live job (queued or processing) is left as it is and its id returned.
create function assay_enqueue(
    file_id        uuid,
    prompt_version text default null,
    channel        text default 'default',
    priority       integer default 0,
    run_at         timestamptz default now()
) returns uuid language plpgsql as $$
#variable_conflict use_column
declare
    job processing_jobs%rowtype;
begin
    insert into processing_jobs (file_id, prompt_version, channel, priority, next_run_at)
    select f.id, assay_enqueue.prompt_version, coalesce(assay_enqueue.channel, 'default'),
           coalesce(assay_enqueue.priority, 0), coalesce(assay_enqueue.run_at, now())
      from files f
     where f.id = assay_enqueue.file_id
    on conflict (file_id) do nothing
    returning * into job;

    if not found then
        -- A live job needs no lock: whoever calls for it again may hold the file's row, and a worker the job's.
        select * into job from processing_jobs j where j.file_id = assay_enqueue.file_id;
        if job.status in ('queued', 'processing') then
            return job.id;
        end if;
        -- Job first, file second: the order in which everybody locks.
        select * into job from processing_jobs j where j.file_id = assay_enqueue.file_id for update;
        if not found then
            raise exception 'assay_enqueue: there is no file %', assay_enqueue.file_id
                using errcode = 'no_data_found', hint = 'Insert the row in files first.';
        end if;
        if job.status in ('queued', 'processing') then
            return job.id;
        end if;
        update processing_jobs j
           set status = 'queued', life = j.life + 1, attempts = 0, snoozes = 0,
               prompt_version = assay_enqueue.prompt_version, guest_digest = null,
               channel = coalesce(assay_enqueue.channel, 'default'),
               priority = coalesce(assay_enqueue.priority, 0),
               next_run_at = coalesce(assay_enqueue.run_at, now()),
               cancel_requested_at = null, last_error_code = null, last_error_step = null,
               last_error_message = null, updated_at = now()
         where j.id = job.id;
        perform pg_notify('assay_jobs', '');
    end if;

    -- Keys of an earlier life stay until this one is final.
    update files f
       set status = 'queued', error_code = null, error_message = null, processing_attempts = 0,
           queued_at = now(), started_at = null, processed_at = null, updated_at = now()
     where f.id = assay_enqueue.file_id;
    return job.id;
end
$$;
