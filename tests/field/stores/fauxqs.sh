#!/bin/bash
# fauxqs (npm): an independent server on Node.
. "$(dirname "$0")/lib.sh"
F=$TOOLS/node_modules/.bin/fauxqs; [ -x "$F" ] || skip 'fauxqs is missing: cargo xtask setup'
echo '{"buckets": ["reports"]}' > "$W/init.json"
FAUXQS_PORT=$S3 FAUXQS_INIT=$W/init.json FAUXQS_LOGGER=false "$F" >"$W/fauxqs.log" 2>&1 & PIDS+=($!); reachable || { echo 'FAIL fauxqs did not start'; BAD=1; exit; }
cases
