-- Requeues failed jobs and their files in a new life.
--
--  $1        job ids, in the order in which they are to run
--  $2        when the command began: what ended later is left alone
--  $3        seconds between the starts of two jobs
--  $4        jobs that this command has requeued before
--  $5        codes after which the answers are discarded

-- held: the jobs that failed, locked job first and file second, in the order of the jobs' ids. A job that another
-- command has requeued meanwhile is skipped.
with held as (
    select j.id, j.file_id, j.life, f.error_code = any ($5::text[]) as afresh
      from processing_jobs j
      join files f on f.id = j.file_id
     where j.id = any ($1::uuid[]) and j.status = 'failed'
       and f.status = 'failed' and f.processed_at <= $2
     order by j.id
       for update of j
       for no key update of f
-- due: when each may run.
), due as (
    select h.id, h.file_id, h.life, h.afresh,
           $2::timestamptz
               + make_interval(secs => $3::float8 * ($4 + row_number() over (order by given.ordinal) - 1)) as at
      from held h
      join unnest($1::uuid[]) with ordinality as given (id, ordinal) on given.id = h.id
-- job: waits in its next life. It keeps its guest, if it keeps its answers.
), job as (
    update processing_jobs j
       set status = 'queued', life = j.life + 1, attempts = 0, snoozes = 0,
           guest_digest = case when due.afresh then null else j.guest_digest end,
           next_run_at = due.at, cancel_requested_at = null, last_error_code = null,
           last_error_step = null, last_error_message = null, updated_at = now()
      from due
     where j.id = due.id and j.status = 'failed'
-- answers: the next life's copies of the rows. They name the same objects.
), answers as (
    insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model,
                             finish_reason, tokens_in, tokens_out, received_at)
    select a.job_id, due.life + 1, a.ordinal, a.lease_token, a.prompt_sha256, a.key, a.sha256, a.model,
           a.finish_reason, a.tokens_in, a.tokens_out, a.received_at
      from due
      join job_answers a on a.job_id = due.id and a.life = due.life
     where not due.afresh
-- file: waits with its job. The keys of the earlier life stay until this one ends.
), file as (
    update files f
       set status = 'queued', error_code = null, error_message = null, processing_attempts = 0,
           queued_at = now(), started_at = null, processed_at = null, updated_at = now()
      from due
     where f.id = due.file_id
-- wake: some of the jobs can be claimed at once.
), wake as (
    select pg_notify('assay_jobs', '') where exists (select from due)
)
-- Reads `wake`, because a CTE that only selects runs only if it is read.
select due.id as "job!", due.at as "begins_at!" from due
 where (select count(*) from wake) >= 0
