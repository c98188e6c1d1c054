drop index processing_jobs_pins;
