-- Deletes old attempts of ended lives, a bounded number of rows at a time.
--
--  $1        age, in seconds
--  $2 - $4   the attempt to continue behind: its end, job and lease token
--  $5        most attempts to look at
--  $6, $7    the only attempts to look at: job and lease token of each; null for any

-- looked: the next attempts, the oldest first.
with looked as (
    select a.ended_at, a.job_id, a.lease_token
      from job_attempts a
     where a.ended_at < now() - make_interval(secs => $1)
       and (a.ended_at, a.job_id, a.lease_token) > ($2, $3, $4)
       and ($6::uuid[] is null or (a.job_id, a.lease_token) in (select * from unnest($6::uuid[], $7::bigint[])))
     order by a.ended_at, a.job_id, a.lease_token
     limit $5
-- forgotten: those of them that a newer attempt makes superfluous. Of each job stay the last attempt, the last one with
-- an error, and the last one with a report.
), forgotten as (
    delete from job_attempts a
     using looked l, processing_jobs j
     where a.job_id = l.job_id and a.lease_token = l.lease_token and j.id = a.job_id
       and (a.life < j.life or j.status in ('succeeded', 'failed'))
       and exists (select from job_attempts b
                    where b.job_id = a.job_id and b.lease_token > a.lease_token)
       and (a.code is null or exists (
            select from job_attempts b
             where b.job_id = a.job_id and b.lease_token > a.lease_token and b.code is not null
               and b.ended_at < now() - make_interval(secs => $1)))
       -- A report that was replaced stays known for the same time after its replacement.
       and (a.report_key is null or exists (
            select from job_attempts b
             where b.job_id = a.job_id and b.lease_token > a.lease_token
               and b.report_key is not null and b.ended_at < now() - make_interval(secs => $1)))
    returning a.job_id
)
-- The last attempt that was looked at.
select (select count(*) from forgotten) as "forgotten!", count(*) over () as "looked!",
       l.ended_at, l.job_id, l.lease_token
  from looked l
 order by l.ended_at desc, l.job_id desc, l.lease_token desc
 limit 1
