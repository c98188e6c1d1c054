-- What operators do to a running queue: hold channels back, end jobs, and give ended ones a new life.

-- Nothing is claimed of a channel that stands here; '*' stands for all of them. The claim itself reads it, so that no
-- notification can be lost.
create table queue_pauses (
    channel   text primary key,
    paused_at timestamptz not null default now(),
    actor     text not null,
    reason    text not null default ''
);

-- Jobs that went back into the queue although somebody wants them ended: a worker of an older version does that.
create index processing_jobs_cancelled on processing_jobs (id) where status = 'queued' and cancel_requested_at is not null;
-- The few that a retry is for, among the many that succeeded.
create index processing_jobs_failed on processing_jobs (id) where status = 'failed';
