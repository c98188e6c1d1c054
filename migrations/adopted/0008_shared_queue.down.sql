-- The other program serves alone from here on. It cannot tell a worker of Assay that is gone from one of its own, and Assay's short leases
-- would let two of its workers take one job: so what workers of Assay hold is given back, as a stop does, and what somebody asked
-- to end ends.

set local lock_timeout = '900ms';
-- From here on nobody else writes.
lock table processing_jobs, files in access exclusive mode;

-- A worker of Assay that still runs claims nothing more.
insert into queue_pauses (channel, actor, reason) values ('*', 'assay migrate', 'the database is being given back')
    on conflict (channel) do nothing;

drop trigger processing_jobs_fence on processing_jobs;

with held as (
    select j.id, j.file_id, j.cancel_requested_at is not null as cancelled, (j.status = 'processing')::integer as attempt
      from processing_jobs j
     where j.status in ('queued', 'processing')
       and (exists (select from workers w where w.id = j.locked_by)
            or (j.status = 'queued' and j.cancel_requested_at is not null))
), job as (
    update processing_jobs j
       set status = case when held.cancelled then 'failed' else 'queued' end,
           attempts = case when held.cancelled then j.attempts else greatest(j.attempts - held.attempt, 0) end,
           -- Whoever held it and wakes up late finds that it is not his any more.
           lease_token = j.lease_token + 1,
           next_run_at = now(), locked_by = null, locked_at = null, heartbeat_at = null, lock_ttl_seconds = default,
           last_error_code = case when held.cancelled then 'cancelled' else j.last_error_code end,
           last_error_message = case when held.cancelled then 'somebody asked for its end' else j.last_error_message end,
           updated_at = now()
      from held
     where j.id = held.id
)
update files f
   set status = case when held.cancelled then 'failed' else 'queued' end,
       error_code = case when held.cancelled then 'cancelled' end,
       error_message = case when held.cancelled then 'somebody asked for its end' end,
       processed_at = case when held.cancelled then now() end,
       processing_attempts = case when held.cancelled then f.processing_attempts
                                  else greatest(f.processing_attempts - held.attempt, 0) end,
       updated_at = now()
  from held
 where f.id = held.file_id;

-- What the updates have put off to the commit would find its functions gone.
set constraints all immediate;

drop trigger files_other_report on files;
drop function assay_other_report();
drop trigger processing_jobs_end_late on processing_jobs;
drop function assay_end_late();
drop trigger files_keep_ended on files;
drop function assay_keep_ended();
drop trigger files_fill on files;
drop function assay_fill_file();
drop trigger processing_jobs_finite on processing_jobs;
drop trigger processing_jobs_fill on processing_jobs;
drop function assay_fill_job();
drop trigger processing_jobs_new_life on processing_jobs;
drop function assay_new_life();
drop function assay_fence();
drop function assay_lock_ttl();
