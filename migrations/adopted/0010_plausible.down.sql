set local lock_timeout = '900ms';
lock table processing_jobs, files in access exclusive mode;

drop function assay_journal(uuid, integer);
drop trigger processing_jobs_finite on processing_jobs;
create trigger processing_jobs_finite before update on processing_jobs
    for each row when (not isfinite(new.next_run_at)) execute function assay_fill_job();
create or replace function assay_fill_job() returns trigger language plpgsql as $$
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
alter table job_answers drop constraint job_answers_tokens_are_plausible;
do $$
begin
    execute format('alter function assay_fill_job() set search_path = %I, %s, pg_temp',
                   current_schema(), current_setting('search_path'));
end
$$;
