#!/bin/bash
# A provider that counts 2^64-1 tokens, for one answer and for a guest with two questions.
. "$(dirname "$0")/lib.sh"; [ -n "${GUEST_FROM_WAT:-}" ] || skip "GUEST_FROM_WAT is not set"; guest
python3 "$HERE/mk.py" "$W/guests/two.wasm" two || { echo "FAIL no guest"; BAD=1; exit; }; dev WORKER_LEASE_MS=3000 WORKER_BEAT_MS=1000 REAPER_EVERY_MS=500
f=$(submit 'M:TOKENS'); until_sql 20 "select status in ('succeeded','failed') from files where id='$f'"
verdict 'one answer' "$(state "$f")" 'succeeded - 1'
verdict 'one answer: an implausible count is unknown' "$(q -c "select coalesce(max(tokens_in),0)<=1000000000 from job_answers a join processing_jobs j on j.id=a.job_id where j.file_id='$f'")" t
g=$(submit 'x' two); until_sql 30 "select status in ('succeeded','failed') from files where id='$g'"
verdict 'two answers of one job' "$(state "$g")" 'succeeded - 1'
verdict 'two answers: nothing panics' "$(grep -c panicked "$W/dev.log")" 0
for i in 1 2 3; do submit 'M:TOKENS' >/dev/null; done; until_sql 30 "select count(*)=0 from files where status in ('queued','processing')"
q -c "update job_attempts set tokens_in=9223372036854775807 where outcome='succeeded'"
a release publish "$W/guests/minutes-v1.wasm" >/dev/null 2>&1; q -c "update job_attempts set guest_digest=(select digest from guest_releases limit 1); update processing_jobs set guest_digest=(select digest from guest_releases limit 1)" 
verdict 'release show adds up counts of old rows' "$(a release show minutes-v1 2>&1 | grep -c 22003)" 0
