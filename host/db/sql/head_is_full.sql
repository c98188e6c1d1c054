-- Returns whether at least so many jobs are due that `claim.sql` did not read all of them.
--
--  $1, $2    due time and job id to begin at; null to begin at the first due job
--  $3        jobs that `claim.sql` reads
select count(*) = $3 as "is_full!"
  from (
    select from processing_jobs j
     where j.status = 'queued' and j.next_run_at <= now()
       and (j.next_run_at, j.id) >= (coalesce($1, '-infinity'::timestamptz),
                                     coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid))
     order by j.priority desc, j.next_run_at, j.id
     limit $3::bigint
  ) as head
