# Sourced by the scripts. Needs: ASSAY (the binary), psql, python3, Postgres' server binaries (as `assay dev` needs them).
# Starts `assay dev` in a folder of its own with model.py as the model, and stops both at the end. PORT is the first of three ports; CACHE, a private folder (0700) for compiled guests, makes later runs quicker.
set -u
: "${ASSAY:?ASSAY=path/to/assay}"
ASSAY=$(realpath "$ASSAY"); HERE=$(cd "$(dirname "$0")" && pwd); PORT=${PORT:-26100}
W=$(mktemp -d); chmod 755 "$W"; PIDS=(); BAD=0
finish() { local p; for p in "${PIDS[@]}"; do kill "$p"; kill -CONT "$p"; done 2>/dev/null; for p in "${PIDS[@]}"; do wait "$p" 2>/dev/null; done
  [ -n "${KEEP:-}" ] && echo "kept: $W" || rm -rf "$W"; exit $BAD; }
trap finish EXIT; trap 'exit 130' INT TERM
for p in psql python3; do command -v $p >/dev/null || { echo "skipped $p is missing"; exit; }; done
# verdict ID GOT WANTED: WANTED is an extended regular expression for the whole of GOT
verdict() { if printf '%s' "$2" | tr '\n' ' ' | grep -Exq -- "$3"; then echo "ok $1"; else echo "FAIL $1: got $(printf '%s' "$2" | tr '\n' ' ' | cut -c1-300) wanted $3"; BAD=1; fi; }
# skip WHY: this machine lacks something
skip() { echo "skipped $1"; exit; }
# guest: a folder of one guest without code, minutes-v1; more guests may be put into $W/guests before `dev`
guest() { mkdir -p "$W/guests"; (cd "$W" && "$ASSAY" guest new minutes-v1 && "$ASSAY" guest build minutes-v1 -o guests/minutes-v1.wasm) >"$W/guest.log" 2>&1 || { cat "$W/guest.log"; BAD=1; exit; }
  cp "$W/minutes-v1/fixtures/good/answers/1.json" "$W/good.json"; }
# dev [VAR=value...]
dev() { [ -d "$W/guests" ] || guest
  python3 "$HERE/model.py" "$PORT" "$W/good.json" "$W/calls" & PIDS+=($!)
  (cd "$W" && exec env LLM_BASE_URL="http://127.0.0.1:$PORT/v1" LLM_MODEL=m GUEST_CACHE_DIR="${CACHE:-$W/cache}" ADMIN_ADDR="127.0.0.1:$((PORT+1))" \
    JOB_BACKOFF_MS=500 JOB_HOLD_MS=1000 BREAKER_PROBE_MS=500 "$@" "$ASSAY" dev --data "$W/data" --guests "$W/guests" --prompt-version minutes-v1) >"$W/dev.log" 2>&1 & PIDS+=($!)
  local i; for i in $(seq 720); do [ -f "$W/data/env" ] && grep -q 'worker started' "$W/dev.log" && break; sleep 0.25; done
  [ -f "$W/data/env" ] || { cat "$W/dev.log"; BAD=1; exit 1; }
  PGURL=$(sed -n "s/^DATABASE_URL=//p" "$W/data/env" | tr -d "'\""); }
a() { "$ASSAY" --env-file "$W/data/env" "$@"; }
q() { psql "$PGURL" -X -v ON_ERROR_STOP=1 -qAt "$@"; }
# submit TEXT [VERSION] -> id of the file
submit() { local f; f=$(mktemp "$W/tXXXXXX.txt"); printf '%b' "$1" > "$f"; a submit "$f" ${2:+--prompt-version "$2"} | grep -oEm1 '[0-9a-f]{8}-[0-9a-f-]{27}'; }
# until SECONDS SQL: waits until it says t
until_sql() { local i; for i in $(seq $(($1*4))); do [ "$(q -c "$2")" = t ] && return 0; sleep 0.25; done; return 1; }
state() { q -F ' ' -c "select f.status, coalesce(f.error_code,'-'), j.attempts from files f join processing_jobs j on j.file_id=f.id where f.id='$1'"; }
