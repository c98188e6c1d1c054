drop index processing_jobs_failed;
drop index processing_jobs_cancelled;
drop table queue_pauses;
