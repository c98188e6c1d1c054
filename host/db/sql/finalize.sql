-- Ends a claim: writes job, file and attempt in one statement, or nothing where the claim is lost.
--
--  $1, $2    job and lease token
--  $3        status of job and file from now on: `succeeded`, `failed` or `queued`
--  $4        attempts to give back: 0 or 1
--  $5        snoozes to add: 0 or 1
--  $6        seconds until the next attempt, for `queued`
--  $7 - $9   failure: code, step, message
--  $10, $11  keys of the report and of the raw answers
--  $12 - $14 prompt version, schema version and digest of the guest that ran
--  $15       outcome of the attempt
--  $16, $17  tokens in and out
--  $18       microseconds in the sandbox

-- claim: the job's row, locked, if the claim is still ours. A job does not go back to the queue once its end was
-- requested.
with claim as (
    select id, file_id, lease_token, life, attempts, locked_by, locked_at, guest_digest, channel,
           $3 = 'queued' and cancel_requested_at is not null as cancelled
      from processing_jobs
     where id = $1 and lease_token = $2 and status = 'processing'
       for update
-- held: the same row, if it may be written.
), held as (
    select * from claim where not cancelled
-- job: leaves the claim. The row is locked by `claim`, so that its status is still `processing`.
), job as (
    update processing_jobs j
       set status = $3, attempts = j.attempts - $4, snoozes = j.snoozes + $5,
           next_run_at = case when $3 = 'queued' then now() + make_interval(secs => $6)
                              else j.next_run_at end,
           locked_by = null, locked_at = null, heartbeat_at = null, lock_ttl_seconds = default,
           last_error_code = $7, last_error_step = $8, last_error_message = $9, updated_at = now()
      from held
     where j.id = held.id
-- file: gets the result. A failed life makes no report and removes none.
), file as (
    update files f
       set status = $3, processing_attempts = held.attempts - $4,
           error_code = case when $3 = 'failed' then $7 end,
           error_message = case when $3 = 'failed' then $9 end,
           storage_key_report = case when $3 = 'succeeded' then $10 else f.storage_key_report end,
           storage_key_raw_llm_output =
               case when $3 = 'queued' then f.storage_key_raw_llm_output else $11 end,
           -- While an earlier report stays, these three describe that report. The attempt keeps its own digest.
           prompt_version = case when $3 <> 'succeeded' and f.storage_key_report is not null
                                 then f.prompt_version else coalesce($12, f.prompt_version) end,
           schema_version = case when $3 <> 'succeeded' and f.storage_key_report is not null
                                 then f.schema_version else coalesce($13, f.schema_version) end,
           guest_digest = case when $3 <> 'succeeded' and f.storage_key_report is not null
                               then f.guest_digest else coalesce($14, f.guest_digest) end,
           processed_at = case when $3 in ('succeeded', 'failed') then now() end,
           updated_at = now()
      from held
     where f.id = held.file_id
-- attempt: the history of this claim.
), attempt as (
    insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome,
                              code, step, message, tokens_in, tokens_out, guest_digest, channel,
                              guest_micros, report_key)
    select id, lease_token, life, attempts, locked_by, locked_at, $15, $7, $8, $9, $16, $17,
           guest_digest, channel, $18, $10
      from held
-- wake: another worker can run a released job at once.
), wake as (
    select pg_notify('assay_jobs', '') from held where $15 = 'released'
)
-- Reads `wake`, because a CTE that only selects runs only if it is read.
select (select count(*) from held) + 0 * (select count(*) from wake) as "touched!",
       exists (select from claim where cancelled) as "cancelled!"
