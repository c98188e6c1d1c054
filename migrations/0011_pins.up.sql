-- What queued jobs wait for: of each channel, the jobs pinned to a digest, those of a prompt version, and the others. A
-- claim goes from one to the next, and past a backlog of a release that may not be called now without reading it.
create index processing_jobs_pins on processing_jobs
    (channel, (coalesce('d' || guest_digest, 'v' || prompt_version, '')), priority, next_run_at, id)
    where status = 'queued';
