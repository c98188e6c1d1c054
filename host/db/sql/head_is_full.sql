-- Returns whether at least so many jobs are due that `claim.sql` did not read all of them. Reads no job that is due later,
-- and none that is due before the place to begin at.
--
--  $1, $2    due time and job id to begin at; null to begin at the first due job
--  $3        jobs that `claim.sql` reads

-- priorities: of the queued jobs, the highest first, each with its first job, as in `claim.sql`.
with recursive priorities as (
    (select j.priority, j.next_run_at, j.id
       from processing_jobs j
      where j.status = 'queued'
        and (j.next_run_at, j.id) >= (coalesce($1, '-infinity'::timestamptz),
                                      coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid))
      order by j.priority desc, j.next_run_at, j.id
      limit 1)
    union all
    select next.priority, next.next_run_at, next.id
      from priorities p
     cross join lateral (
        select j.priority, j.next_run_at, j.id
          from processing_jobs j
         where j.status = 'queued' and j.priority < p.priority
           and (j.next_run_at, j.id) >= (coalesce($1, '-infinity'::timestamptz),
                                         coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid))
         order by j.priority desc, j.next_run_at, j.id
         limit 1
     ) as next
)
select count(*) = $3 as "is_full!"
  from (
    select
      from priorities p
     cross join lateral (
        select from processing_jobs j
         where j.status = 'queued' and j.priority = p.priority and j.next_run_at <= now()
           and (j.next_run_at, j.id) >= (p.next_run_at, p.id)
         order by j.next_run_at, j.id
         limit $3::bigint
     ) as due
     limit $3::bigint
  ) as head
