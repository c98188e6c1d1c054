#!/bin/bash
# A guest that puts words of the transcript into the code of its finding. Wanted: `other` instead of the words, everywhere.
. "$(dirname "$0")/lib.sh"; [ -n "${GUEST_FROM_WAT:-}" ] || skip "GUEST_FROM_WAT is not set"; guest
python3 "$HERE/mk.py" "$W/guests/leak.wasm" leak || { echo "FAIL no guest"; BAD=1; exit; }; dev
f=$(submit 'Maria Example said: my password is Hunter2 and I am ill' leak); until_sql 20 "select status='failed' from files where id='$f'"
verdict 'the file is rejected' "$(state "$f")" 'failed schema_validation_failed 1'
verdict 'log' "$(grep -ci 'hunter2' "$W/dev.log")" 0
verdict 'files.error_message' "$(q -c "select count(*) from files where error_message ilike '%hunter2%'")" 0
verdict 'job_attempts.message' "$(q -c "select count(*) from job_attempts where message ilike '%hunter2%'")" 0
verdict 'assay status' "$(a status "$f" | grep -ci hunter2)" 0
verdict 'the code is shown as other' "$(q -c "select error_message from files where id='$f'")" '.*1 finding: other at the whole document.*'
