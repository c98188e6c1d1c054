-- Returns due jobs that this worker can perhaps run, in the order of claims, without locks. `claim.sql` decides.
--
--  $1        digest for jobs without a prompt version in channels without a release
--  $2        digests that may be called now
--  $3, $4    channels: all names, and those of which at least some jobs can be claimed
--  $5        prompt versions of which at least some jobs can be claimed
--  $6, $7    due time and job id to begin at; null to begin at the first due job
--  $8        most jobs to return
select j.id
  from processing_jobs j
 where j.status = 'queued' and j.next_run_at <= now()
   and (j.next_run_at, j.id) >= (coalesce($6, '-infinity'::timestamptz),
                                 coalesce($7, '00000000-0000-0000-0000-000000000000'::uuid))
   and case when j.guest_digest is not null then j.guest_digest = any ($2::text[])
            when j.prompt_version is not null then j.prompt_version = any ($5::text[])
            when j.channel = any ($3::text[]) then j.channel = any ($4::text[])
            else coalesce($1::text = any ($2), false) end
   and not exists (select from queue_pauses p where p.channel in (j.channel, '*'))
   and j.cancel_requested_at is null
 order by j.priority desc, j.next_run_at, j.id
 limit $8
