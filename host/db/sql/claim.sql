-- Claims due jobs that this worker can run, and moves their files to `processing`.
--
--  $1, $2    prompt versions, and the digest that serves each
--  $3        digest for jobs without a prompt version in channels without a release
--  $4        digests that may be called now
--  $5        most jobs to claim
--  $6        worker
--  $7        lease, in seconds
--  $8 - $12  channels: name, active digest, prompt version of that digest, canary digest, canary percent
--  $13       channels of $8 of which at least some jobs can be claimed
--  $14       prompt versions of which at least some jobs can be claimed
--  $15, $16  due time and job id to begin at; null to begin at the first due job
--  $17       the only jobs to claim; null for any
--
-- Planning a claim takes longer than the claim, so one plan is to do for all. Sub-selects hide $5 and $17 from the planner,
-- which would plan anew for their values.

-- priorities: of the queued jobs, the highest first, each with its first job. Everything below begins at that job: index
-- entries before it are of ended jobs, and while a long transaction keeps vacuum away, each costs a read of the table. They are
-- walked past here, once.
with recursive priorities as (
    (select j.priority, j.next_run_at, j.id
       from processing_jobs j
      where $17::uuid[] is null and j.status = 'queued'
        and (j.next_run_at, j.id) >= (coalesce($15, '-infinity'::timestamptz),
                                      coalesce($16, '00000000-0000-0000-0000-000000000000'::uuid))
      order by j.priority desc, j.next_run_at, j.id
      limit 1)
    union all
    select next.priority, next.next_run_at, next.id
      from priorities p
     cross join lateral (
        select j.priority, j.next_run_at, j.id
          from processing_jobs j
         where j.status = 'queued' and j.priority < p.priority
           and (j.next_run_at, j.id) >= (coalesce($15, '-infinity'::timestamptz),
                                         coalesce($16, '00000000-0000-0000-0000-000000000000'::uuid))
         order by j.priority desc, j.next_run_at, j.id
         limit 1
     ) as next
-- due: the jobs to claim, locked with their files, each with the digest that it will run on.
-- Reads 50 due jobs more than it claims and no further, so that a backlog of jobs that cannot run costs little. `due_jobs.sql`
-- finds what is behind it.
-- The limit must be applied here, before the update: a plain sub-select could be run again and take more rows.
-- A job whose file is locked by another transaction is skipped, so that the batch does not wait for it.
), due as (
    select j.id, chosen.digest
      from (
        -- Priority by priority, in the order of the recursion, and in each no job that is due later: one walk over all of them
        -- would go on through every job of the future.
        (select q.id, q.version, q.priority, q.next_run_at, q.channel, q.prompt_version, q.guest_digest
           from priorities p
          cross join lateral (
            select q.id, q.xmin as version, q.priority, q.next_run_at, q.channel, q.prompt_version, q.guest_digest
              from processing_jobs q
             where q.status = 'queued' and q.priority = p.priority and q.next_run_at <= now()
               and (q.next_run_at, q.id) >= (p.next_run_at, p.id)
             order by q.next_run_at, q.id
             limit (select $5::bigint + 50)
          ) as q
          limit (select $5::bigint + 50))
        union all
        select q.id, q.xmin as version, q.priority, q.next_run_at, q.channel, q.prompt_version, q.guest_digest
          from processing_jobs q
         where q.id = any ((select $17::uuid[])::uuid[])
           and case when q.status = 'queued' and q.next_run_at <= now() then true else false end
      ) as head
      join processing_jobs j on j.id = head.id
      join files f on f.id = j.file_id
     cross join lateral (
        select case when j.guest_digest is not null then j.guest_digest
                    when j.prompt_version is null and j.channel = any ($8) then (
                        select case when c.canary is not null
                                         -- A file is on the same side of the canary in every life. md5 is the same in every
                                         -- release of Postgres; 28 bits of it fit an integer.
                                         and ('x' || left(md5(j.file_id::text), 7))::bit(28)::integer % 100 < c.percent
                                    then c.canary else c.active end
                          from unnest($8::text[], $9::text[], $11::text[], $12::integer[]) as c (name, active, canary, percent)
                         where c.name = j.channel)
                    when j.prompt_version is null then $3::text
                    else coalesce(
                        (select c.active from unnest($8, $9, $10::text[]) as c (name, active, version)
                          where c.name = j.channel and c.version = j.prompt_version),
                        (select s.digest from unnest($1::text[], $2::text[]) as s (version, digest)
                          where s.version = j.prompt_version)) end as digest
     ) as chosen
     -- A job that has changed between the snapshot and the lock is left to the next claim.
     where j.xmin = head.version
       -- A CASE, because the planner estimates that half of the rows pass it. For the bare comparison it estimates that
       -- almost none pass, and then it sorts all due jobs instead of following the index up to the limit.
       and case when chosen.digest = any ($4::text[]) then true else false end
       -- Implied by the line above, but needs the first look alone: a job of a release that may not be called now is
       -- skipped before its row and its file are read again.
       and case when head.guest_digest is not null then head.guest_digest = any ($4)
                when head.prompt_version is not null then head.prompt_version = any ($14::text[])
                when head.channel = any ($8) then head.channel = any ($13::text[])
                else coalesce($3 = any ($4), false) end
       -- Neither check of the pauses names a row of the join, so that each runs once and not once a job.
       and not exists (select from queue_pauses p where p.channel = '*')
       and case when head.channel = any (array(select p.channel from queue_pauses p)) then false else true end
       -- The reaper ends this job.
       and case when j.cancel_requested_at is not null then false else true end
     order by head.priority desc, head.next_run_at, head.id
     limit (select $5::bigint)
       for update of j skip locked
       for no key update of f skip locked
-- claimed: the jobs under their new lease token.
), claimed as (
    update processing_jobs j
       -- Another program on the queue may put back a job without an attempt left, and refuse a row with more.
       set status = 'processing', attempts = case when j.attempts < j.max_attempts then j.attempts + 1 else j.attempts end,
           lease_token = j.lease_token + 1,
           locked_by = $6, locked_at = now(), heartbeat_at = now(), lock_ttl_seconds = $7,
           guest_digest = due.digest, updated_at = now()
      from due
     -- A CASE, because there is an index of all queued jobs, and an empty one looks as good as the key.
     where j.id = due.id and case when j.status = 'queued' then true else false end
    returning j.*
-- moved: the files of these jobs.
), moved as (
    update files f
       set status = 'processing', started_at = now(), processing_attempts = c.attempts,
           error_code = null, error_message = null, processed_at = null, updated_at = now()
      from claimed c
     where f.id = c.file_id
    returning f.*
)
-- The claims, each with the answers that earlier claims of this life received.
select c.id, c.lease_token, c.attempts, c.max_attempts, c.snoozes, c.life, c.channel, c.prompt_version,
       c.guest_digest as "guest_digest!",
       c.next_run_at as "next_run_at: StoredTime",
       -- Apart, because the difference of two instants may leave the range of intervals.
       (extract(epoch from now()) - extract(epoch from c.next_run_at))::float8 as "lag!",
       f.id as file_id, f.user_id, f.storage_bucket, f.storage_key_original, f.original_filename,
       f.extension, f.attributes as "attributes: Lenient<serde_json::Value>", f.created_at as "created_at: StoredTime",
       -- A function, because it sees what was committed by now. This statement does not. A first claim has no answers.
       case when c.lease_token > 1 then assay_journal(c.id, c.life) else '[]' end
           as "journal!: Lenient<Json<Vec<JournalRow>>>"
  from claimed c
  join moved f on f.id = c.file_id
