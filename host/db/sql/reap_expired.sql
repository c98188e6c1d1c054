-- Takes back jobs whose lease has expired: requeues them, or fails those without an attempt left or with a cancel
-- request.
--
--  $1        most jobs to take back
--  $2, $3    code and message where the worker was lost
--  $4, $5    code and message where the job's end was requested
--  $6        the only job to take back; null for any
--  $7        jobs to leave alone

-- expired: the jobs, locked with their files. Rows that are locked by another transaction are left for the next round.
with expired as (
    -- Another program that serves the queue too may leave columns of its locks empty.
    select j.id, j.file_id, j.lease_token, j.life, j.attempts, coalesce(j.locked_by, '') as locked_by,
           coalesce(j.locked_at, j.updated_at) as locked_at, j.guest_digest, j.channel,
           j.attempts >= j.max_attempts as spent,
           j.cancel_requested_at is not null as cancelled
      from processing_jobs j
      join files f on f.id = j.file_id
     where j.status = 'processing'
       -- The lease is subtracted from now: added to an instant far ahead, it would leave the range of instants. A
       -- heartbeat of the days to come is a broken clock's, and keeps no job.
       and (coalesce(greatest(j.heartbeat_at, j.locked_at), j.updated_at)
                < now() - make_interval(secs => j.lock_ttl_seconds)
            or coalesce(greatest(j.heartbeat_at, j.locked_at), j.updated_at) > now() + interval '1 day')
       and ($6::uuid is null or j.id = $6)
       and j.id <> all ($7::uuid[])
     order by j.id
     limit $1
       for update of j skip locked
       for no key update of f skip locked
-- dead: the same jobs, each with whether it ends now, and why.
), dead as (
    select e.*, e.spent or e.cancelled as over, case when e.cancelled then $4 else $2 end as code,
           case when e.cancelled then $5 else $3 end as message
      from expired e
-- job: leaves its claim. The lease token stays; the next claim raises it.
), job as (
    update processing_jobs j
       set status = case when dead.over then 'failed' else 'queued' end, next_run_at = now(),
           locked_by = null, locked_at = null, heartbeat_at = null, lock_ttl_seconds = default,
           last_error_code = dead.code, last_error_step = null, last_error_message = dead.message,
           updated_at = now()
      from dead
     where j.id = dead.id and j.status = 'processing'
-- file: fails or waits with its job. An earlier report stays, with what describes it.
), file as (
    update files f
       set status = case when dead.over then 'failed' else 'queued' end,
           error_code = case when dead.over then dead.code end,
           error_message = case when dead.over then dead.message end,
           processed_at = case when dead.over then now() end, updated_at = now(),
           storage_key_raw_llm_output =
               case when dead.over then null else f.storage_key_raw_llm_output end,
           -- All three are null where the sub-select has no row: the job ends, and there is no earlier report.
           (prompt_version, schema_version, guest_digest) =
               (select f.prompt_version, f.schema_version, f.guest_digest
                 where not dead.over or f.storage_key_report is not null)
      from dead
     where f.id = dead.file_id
-- attempt: always `lost`, even where the job ends because of a cancel request.
), attempt as (
    insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome,
                              code, message, tokens_in, tokens_out, guest_digest, channel)
    select id, lease_token, life, attempts, locked_by, locked_at, 'lost', $2, $3, used.input,
           used.output, guest_digest, channel
      from dead
     cross join lateral (
           -- Saturating: a sum that overflows would fail the jobs of all workers.
           select greatest(least(coalesce(sum(a.tokens_in), 0), 9223372036854775807), -9223372036854775808)::bigint as input,
                  greatest(least(coalesce(sum(a.tokens_out), 0), 9223372036854775807), -9223372036854775808)::bigint as output
             from job_answers a
            where a.job_id = dead.id and a.life = dead.life and a.lease_token = dead.lease_token
           ) as used
    -- A row of this token is there already only where another program wrote it: it must not keep the job.
    on conflict (job_id, lease_token) do nothing
-- wake: some of the jobs can be claimed at once.
), wake as (
    select pg_notify('assay_jobs', '') where exists (select from dead where not over)
)
-- Reads `wake`, because a CTE that only selects runs only if it is read.
select dead.id, dead.file_id, dead.spent as "spent!", dead.cancelled as "cancelled!" from dead
 where (select count(*) from wake) >= 0
