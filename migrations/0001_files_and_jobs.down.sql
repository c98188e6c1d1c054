drop table processing_jobs;
drop table files;
