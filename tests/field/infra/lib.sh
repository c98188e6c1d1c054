# Sourced by the scripts. Needs ASSAY (the binary) and GUESTS (a folder with meeting-v2.wasm), python3, openssl; those that use Postgres
# also psql and Postgres' server binaries (PGBIN, by default the newest below /usr/lib/postgresql). PORT is the first of ten ports.
set -u
: "${ASSAY:?ASSAY=path/to/assay}" "${GUESTS:?GUESTS=folder with meeting-v2.wasm}"
ASSAY=$(realpath "$ASSAY"); GUESTS=$(realpath "$GUESTS"); HERE=$(cd "$(dirname "$0")" && pwd); PORT=${PORT:-26200}
PGBIN=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)}
PGUSER_OS=$([ "$(id -u)" = 0 ] && (id -un postgres 2>/dev/null || echo nobody) || id -un)
W=$(mktemp -d); chmod 755 "$W"; PIDS=(); BAD=0; PG=$PORT; STANDBY=$((PORT+1)); SWITCH=$((PORT+2)); S3=$((PORT+3)); MODEL=$((PORT+4)); ADMIN=$((PORT+5)); POOLER=$((PORT+6))
as_pg() { if [ "$(id -u)" = 0 ]; then su "$PGUSER_OS" -s /bin/bash -c "$1"; else bash -c "$1"; fi; }
finish() { local p d; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null; done; sleep 0.3; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null; wait "$p" 2>/dev/null; done
  for d in "$W"/pg/b "$W"/pg/a; do [ -d "$d" ] && as_pg "$PGBIN/pg_ctl -D $d -m immediate stop" >/dev/null 2>&1; done
  [ -n "${KEEP:-}" ] && echo "kept: $W" || rm -rf "$W"; exit $BAD; }
trap finish EXIT; trap 'exit 130' INT TERM
# skip WHY: this machine lacks something
skip() { echo "skipped $1"; exit; }
for p in psql python3 openssl; do command -v $p >/dev/null || skip "$p is missing"; done
verdict() { if printf '%s' "$2" | tr '\n' ' ' | grep -Exq -- "$3"; then echo "ok $1"; else echo "FAIL $1: got $(printf '%s' "$2" | tr '\n' ' ' | cut -c1-300) wanted $3"; BAD=1; fi; }
q() { psql -h 127.0.0.1 -p "$PG" -U postgres -d "${DB:-assay}" -X -q -At "$@"; }
s3d() { : > "$W/mode"; python3 "$HERE/s3d.py" "$S3" "$W/mode" "$@" & PIDS+=($!); sleep 0.7; }
mode() { echo "$*" > "$W/mode"; }
model() { echo "${1:-0}" > "$W/pause"; python3 "$HERE/model.py" "$MODEL" "$W/pause" & PIDS+=($!); sleep 0.5; }
export DATABASE_TIMEOUT_MS=${DATABASE_TIMEOUT_MS:-10000}
export DATABASE_URL="postgres://postgres@127.0.0.1:$PG/assay" S3_ENDPOINT="http://127.0.0.1:$S3" S3_BUCKET=b1 S3_REGION=us-east-1 S3_ACCESS_KEY_ID=AKIATESTTESTTESTTEST S3_SECRET_ACCESS_KEY=secretsecretsecretsecret
export LLM_BASE_URL="http://127.0.0.1:$MODEL/v1" LLM_MODEL=m GUEST_DIR=$GUESTS GUEST_CACHE_DIR=${CACHE:-$W/cache} REPORT_PROMPT_VERSION=meeting-v2 ADMIN_ADDR="127.0.0.1:$ADMIN" WORKER_CONCURRENCY=4
# worker NAME [VAR=value...]: starts one and waits until it has started; its log is $W/NAME.log
worker() { local n=$1; shift; env "$@" "$ASSAY" worker >"$W/$n.log" 2>&1 & PIDS+=($!); local i; for i in $(seq 720); do grep -q 'worker started' "$W/$n.log" && return; sleep 0.25; done; cat "$W/$n.log"; BAD=1; exit; }
# row NAME [VAR=value...]: verdict, detail and cure of one row of `assay check`
row() { local n=$1; shift; env "$@" "$ASSAY" check --json 2>"$W/check.err" | python3 -c 'import json,sys
for c in json.load(sys.stdin)["checks"]:
    if c["name"] == sys.argv[1]: print(c["verdict"], "|", c["detail"], "|", c["cure"] or "")' "$n"; }
# until_sql SECONDS SQL: waits until it says t
until_sql() { local i; for i in $(seq $(($1*4))); do [ "$(q -c "$2")" = t ] && return 0; sleep 0.25; done; return 1; }
memo() { for i in $(seq "$1"); do printf 'Anna: we met %s times. Boris: I write the minutes by Friday.' "$i" > "$W/memo$i.txt"; done; }
