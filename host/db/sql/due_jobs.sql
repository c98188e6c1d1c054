-- Returns due jobs that this worker can run, in the order of claims, without locks. `claim.sql` decides.
--
-- Reads no job of a release that may not be called now, however many of them are due: it goes from one kind of waiting job
-- to the next by the index `processing_jobs_pins`.
--
--  $1, $2    prompt versions, and the digest that serves each
--  $3        digest for jobs without a prompt version in channels without a release
--  $4        digests that may be called now
--  $5 - $9   channels: name, active digest, prompt version of that digest, canary digest, canary percent
--  $10, $11  due time and job id to begin at; null to begin at the first due job
--  $12       most jobs to return

-- pins: each channel with each pin of its queued jobs (a digest, a prompt version, or neither) and each priority of these, with
-- the first job of each. Index entries before that job are of ended jobs; they are walked past here, once.
with recursive pins as (
    (select j.channel, coalesce('d' || j.guest_digest, 'v' || j.prompt_version, '') as pin, j.priority, j.next_run_at, j.id
       from processing_jobs j
      where j.status = 'queued'
        and (j.next_run_at, j.id) >= (coalesce($10, '-infinity'::timestamptz),
                                      coalesce($11, '00000000-0000-0000-0000-000000000000'::uuid))
      order by 1, 2, 3, 4, 5
      limit 1)
    union all
    select next.channel, next.pin, next.priority, next.next_run_at, next.id
      from pins p
     cross join lateral (
        select j.channel, coalesce('d' || j.guest_digest, 'v' || j.prompt_version, '') as pin, j.priority, j.next_run_at, j.id
          from processing_jobs j
         where j.status = 'queued'
           and (j.channel, coalesce('d' || j.guest_digest, 'v' || j.prompt_version, ''), j.priority)
               > (p.channel, p.pin, p.priority)
           and (j.next_run_at, j.id) >= (coalesce($10, '-infinity'::timestamptz),
                                         coalesce($11, '00000000-0000-0000-0000-000000000000'::uuid))
         order by 1, 2, 3, 4, 5
         limit 1
     ) as next
-- runnable: those of which at least some jobs can be claimed, with the digest that their jobs run on, and the digest of
-- the canary where a part of them is the canary's.
), runnable as (
    select p.channel, p.pin, p.priority, p.next_run_at, p.id, runs.digest, runs.canary, channel.percent
      from pins p
      left join unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::integer[])
                as channel (name, active, version, canary, percent)
        on channel.name = p.channel
      left join unnest($1::text[], $2::text[]) as served (version, digest)
        on 'v' || served.version = p.pin
     cross join lateral (
        select case when p.pin like 'd%' then substr(p.pin, 2)
                    when p.pin = '' and channel.name is null then $3::text
                    when p.pin = '' or p.pin = 'v' || channel.version then channel.active
                    else served.digest end as digest,
               case when p.pin = '' then channel.canary end as canary
     ) as runs
     where (runs.digest = any ($4::text[]) or runs.canary = any ($4))
       and not exists (select from queue_pauses q where q.channel in (p.channel, '*'))
)
select job.id as "id!"
  from runnable r
 cross join lateral (
    select j.id, j.priority, j.next_run_at
      from processing_jobs j
     where j.status = 'queued' and j.channel = r.channel
       and coalesce('d' || j.guest_digest, 'v' || j.prompt_version, '') = r.pin and j.priority = r.priority
       and j.next_run_at <= now()
       and (j.next_run_at, j.id) >= (r.next_run_at, r.id)
       and j.cancel_requested_at is null
       -- The side of the canary as `claim.sql` has it. A CASE, because the planner estimates that half of the rows pass it.
       and case when r.canary is not null
                     and ('x' || left(md5(j.file_id::text), 7))::bit(28)::integer % 100 < r.percent
                then r.canary = any ($4) else r.digest = any ($4) end
     order by j.next_run_at, j.id
     limit $12
 ) as job
 order by job.priority desc, job.next_run_at, job.id
 limit $12
