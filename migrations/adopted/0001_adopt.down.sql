set local lock_timeout = '900ms';
lock table processing_jobs, files in access exclusive mode;

drop index processing_jobs_running;
drop index processing_jobs_claim;

alter table processing_jobs
    drop column last_error_step,
    drop column life,
    drop column cancel_requested_at,
    drop column snoozes,
    drop column guest_digest,
    drop column prompt_version,
    drop column lease_token,
    drop column priority,
    drop column channel;

alter table files
    drop column guest_digest,
    drop column attributes;
