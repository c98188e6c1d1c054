drop table workers;
drop table job_answers;
drop table job_attempts;
