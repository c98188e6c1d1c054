#!/bin/bash
# Keys of a role that end every 30 s, under load: MINUTES (10) of jobs. The store refuses a key from its end on.
. "$(dirname "$0")/lib.sh"; MINUTES=${MINUTES:-10}; ROLES=$POOLER; S3_BUCKET=b1
setup_pg; model; s3d; mode "keys=$W/keys"
python3 "$HERE/../stores/roles.py" "$ROLES" "$W/keys" 30 & PIDS+=($!); sleep 1
X="S3_ACCESS_KEY_ID= S3_SECRET_ACCESS_KEY= AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:$ROLES/ AWS_EC2_METADATA_DISABLED=true"
verdict 'check' "$(row bucket $X)" 'ok .*'
worker w $X; memo 1; sent=0; end=$((SECONDS + MINUTES * 60))
while [ $SECONDS -lt $end ]; do env $X "$ASSAY" submit "$W/memo1.txt" >/dev/null 2>>"$W/submit.err" && sent=$((sent+1)); sleep 0.5; done
until_sql 60 "select count(*) = 0 from files where status in ('queued', 'processing')"
verdict "$MINUTES minutes: every file succeeded" "$(q -c "select count(*) from files where status = 'succeeded'")" "$sent"
verdict 'at the first attempt' "$(q -c 'select max(attempts) from processing_jobs')" 1
verdict 'keys were renewed all the time' "$(python3 -c 'import json,sys; print(len(json.load(open(sys.argv[1]))) >= int(sys.argv[2]) * 2)' "$W/keys" "$MINUTES")" True
verdict 'no submit failed' "$(wc -l < "$W/submit.err")" 0
