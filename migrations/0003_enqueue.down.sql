drop function assay_enqueue(uuid, text, text, integer, timestamptz);
drop trigger processing_jobs_wake on processing_jobs;
drop function assay_wake();
