-- Fails queued jobs and their files. The caller has locked both, in this transaction.
--
--  $1        job ids
--  $2 - $4   failure: code, step, message

-- job: the jobs that are still queued.
with job as (
    update processing_jobs j
       set status = 'failed', last_error_code = $2, last_error_step = $3, last_error_message = $4, updated_at = now()
     where j.id = any ($1::uuid[]) and j.status = 'queued'
    returning j.file_id
)
-- Their files. An earlier report stays, with what describes it.
update files f
   set status = 'failed', error_code = $2, error_message = $4, processed_at = now(), updated_at = now(),
       storage_key_raw_llm_output = null,
       -- All three are null where the sub-select has no row: there is no earlier report.
       (prompt_version, schema_version, guest_digest) =
           (select f.prompt_version, f.schema_version, f.guest_digest
             where f.storage_key_report is not null)
  from job
 where f.id = job.file_id
