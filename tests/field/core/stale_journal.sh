#!/bin/bash
# A claim that walks a long backlog meets a job whose journal grows meanwhile. An operator's `update … set next_run_at = now()` began before
# the answer was committed, so the row looks due to the second check, while the journal is read under the claim's older snapshot.
# CLAIM_SQL is the claim's statement. Wanted: the job is left, or comes with its answer; never with an empty journal.
. "$(dirname "$0")/lib.sh"; [ -n "${CLAIM_SQL:-}" ] || skip "CLAIM_SQL is not set"; dev; ROWS=${ROWS:-200000}
# The server goes on without the worker, which would claim the job.
kill -STOP "${PIDS[1]}"; J="(select id from files where storage_key_original='z1')"
q -c "with n as (insert into files(id,user_id,storage_bucket,storage_key_original,original_filename,extension,mime_type,size_bytes,status) select gen_random_uuid(),gen_random_uuid(),'b',case when g=0 then 'z1' else 'w' end,'w','txt','text/plain',1,'queued' from generate_series(0,$ROWS) g returning id,storage_key_original)
insert into processing_jobs(file_id,prompt_version,next_run_at) select id,case when storage_key_original='z1' then 'minutes-v1' else 'waits-v1' end,now()-interval '1 hour' from n; update processing_jobs set next_run_at=now()+interval '1 hour' where file_id=$J; analyze processing_jobs; analyze files"
# Three sessions that are connected already, because the claim takes only some tenths of a second: session NAME opens one, $NAME writes to it.
session() { mkfifo "$W/$1.in"; q < "$W/$1.in" > "$W/$1.out" 2>&1 & WAIT+=($!); exec {fd}> "$W/$1.in"; printf -v "$1" %s $fd; }
said() { local i; for i in $(seq 600); do grep -q "$2" "$W/$1.out" && return; sleep 0.05; done; }
WAIT=(); session UPDATE; session CLAIM; session OTHER
# the operator's update begins
echo "begin; select now(); \\echo begun" >&$UPDATE; said UPDATE begun
echo "update processing_jobs set next_run_at = clock_timestamp() where file_id = $J; \\echo due" >&$OTHER; said OTHER due
{ echo "prepare c as"; cat "$CLAIM_SQL"; echo "; \\echo prepared"; } >&$CLAIM; said CLAIM prepared
echo "begin; execute c(array['minutes-v1'],array['d'],null,array['d'],16,'w1',30,'{}','{}','{}','{}','{}','{}',array['minutes-v1'],null,null,null); rollback;" >&$CLAIM; sleep 0.05
# another worker claims the job, journals an answer, and settles the job as retried
cat >&$OTHER <<Q
update processing_jobs set status='processing', lease_token=lease_token+1, attempts=attempts+1, locked_by='w2', locked_at=now(), heartbeat_at=now() where file_id=$J;
insert into job_answers(job_id,life,ordinal,lease_token,prompt_sha256,key,sha256,model,finish_reason) select id,life,0,lease_token,'\x00','k','\x00','m','stop' from processing_jobs where file_id=$J on conflict do nothing;
update processing_jobs set status='queued', locked_by=null, locked_at=null, heartbeat_at=null, next_run_at=now()+interval '1 s' where file_id=$J;
\echo settled
Q
said OTHER settled
echo "update processing_jobs set next_run_at = now() where status = 'queued' and next_run_at > now(); commit;" >&$UPDATE
for fd in $UPDATE $CLAIM $OTHER; do exec {fd}>&-; done; wait "${WAIT[@]}"; kill -CONT "${PIDS[1]}"
got=left; grep -q z1 "$W/CLAIM.out" && got='an empty journal'; grep z1 "$W/CLAIM.out" | grep -q '"ordinal"' && got='its answer'
verdict 'a claim beside an update of due times' "$got, $(q -c "select count(*) from job_answers a join processing_jobs j on j.id=a.job_id where j.file_id=$J") answer, $(cat "$W"/*.out | grep -c ERROR) errors" '(left|its answer), 1 answer, 0 errors'
