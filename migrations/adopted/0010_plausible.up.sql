-- Values that no deployment means are refused where they come in, and a claim sees every answer that was journaled.

set local lock_timeout = '900ms';
lock table processing_jobs, files in access exclusive mode;

-- A count above a billion is a fault of the provider: it is unknown, and no sum of counts overflows.
update job_answers
   set tokens_in = case when tokens_in between 0 and 1000000000 then tokens_in end,
       tokens_out = case when tokens_out between 0 and 1000000000 then tokens_out end
 where tokens_in not between 0 and 1000000000 or tokens_out not between 0 and 1000000000;
alter table job_answers
    add constraint job_answers_tokens_are_plausible
        check (tokens_in between 0 and 1000000000 and tokens_out between 0 and 1000000000);

-- The table is another program's, so an implausible time is corrected and not refused: before 1970 becomes now, and after
-- 9998 becomes a hundred years from now, as for an infinite time.
create or replace function assay_fill_job() returns trigger language plpgsql as $$
begin
    new.id := coalesce(new.id, gen_random_uuid());
    new.status := coalesce(new.status, 'queued');
    new.attempts := coalesce(new.attempts, 0);
    new.max_attempts := coalesce(new.max_attempts, 4);
    new.next_run_at := coalesce(new.next_run_at, now());
    if new.next_run_at < '1970-01-01 00:00:00+00' then
        new.next_run_at := now();
    elsif new.next_run_at >= '9999-01-01 00:00:00+00' then
        new.next_run_at := now() + interval '100 years';
    end if;
    new.created_at := coalesce(new.created_at, now());
    new.updated_at := coalesce(new.updated_at, now());
    return new;
end
$$;
drop trigger processing_jobs_finite on processing_jobs;
create trigger processing_jobs_finite before update on processing_jobs
    for each row when (new.next_run_at < '1970-01-01 00:00:00+00' or new.next_run_at >= '9999-01-01 00:00:00+00')
    execute function assay_fill_job();

-- The answers of a life. Volatile, so that it sees what was committed when it is called, and not only what the statement
-- around it sees.
create function assay_journal(job uuid, of_life integer) returns json language plpgsql volatile as $$
begin
    return (select coalesce(json_agg(json_build_object(
                       'ordinal', a.ordinal, 'prompt_sha256', encode(a.prompt_sha256, 'hex'), 'key', a.key,
                       'sha256', encode(a.sha256, 'hex'), 'model', a.model,
                       'finish_reason', a.finish_reason) order by a.ordinal), '[]')
              from job_answers a
             where a.job_id = job and a.life = of_life);
end
$$;
do $$
begin
    execute format('alter function assay_journal(uuid, integer) set search_path = %I, pg_temp', current_schema());
    -- As 0009 has given it to the function that was replaced.
    execute format('alter function assay_fill_job() set search_path = %I, %s, pg_temp',
                   current_schema(), current_setting('search_path'));
end
$$;
