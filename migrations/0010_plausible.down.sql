drop function assay_journal(uuid, integer);
alter table processing_jobs drop constraint processing_jobs_next_run_is_plausible;
alter table job_answers drop constraint job_answers_tokens_are_plausible;
