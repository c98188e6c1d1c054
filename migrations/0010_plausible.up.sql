-- Values that no deployment means are refused where they come in, and a claim sees every answer that was journaled.

-- A count above a billion is a fault of the provider: it is unknown, and no sum of counts overflows.
update job_answers
   set tokens_in = case when tokens_in between 0 and 1000000000 then tokens_in end,
       tokens_out = case when tokens_out between 0 and 1000000000 then tokens_out end
 where tokens_in not between 0 and 1000000000 or tokens_out not between 0 and 1000000000;
alter table job_answers
    add constraint job_answers_tokens_are_plausible
        check (tokens_in between 0 and 1000000000 and tokens_out between 0 and 1000000000);

-- Only of jobs that wait: a row of before can still be cancelled, and requeued at another time.
alter table processing_jobs
    add constraint processing_jobs_next_run_is_plausible
        check (status <> 'queued' or cancel_requested_at is not null
               or next_run_at >= '1970-01-01 00:00:00+00' and next_run_at < '9999-01-01 00:00:00+00') not valid;

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
end
$$;
