# Sourced by the scripts of this folder, after they have set START (a command that starts the store on port $S3) and NAME.
. "$(dirname "$0")/../infra/lib.sh"; . "$HERE/../infra/setup_pg.sh"; HERE="$HERE/../infra"
export S3_BUCKET=reports; TOOLS=${TOOLS:-$HOME/.cache/assay/tools}
# reachable: waits until something answers on the store's port
reachable() { local i; for i in $(seq 240); do python3 -c "import socket; socket.create_connection(('127.0.0.1', $S3), 1)" 2>/dev/null && return 0; sleep 0.25; done; return 1; }
# cases: what every store must do. Needs the bucket $S3_BUCKET.
cases() {
  verdict check "$(row bucket)" 'ok .*'
  verdict 'without checksums' "$(row bucket S3_CHECKSUM=off)" 'ok .*'
  verdict 'missing bucket' "$(row bucket S3_BUCKET=nosuch)" 'failed .*S3_BUCKET.*'
  setup_pg; model; worker w; memo 6
  local i; for i in 1 2 3 4 5 6; do "$ASSAY" submit "$W/memo$i.txt" >/dev/null; done
  until_sql 60 "select count(*) = 6 from files where status = 'succeeded'"
  verdict 'jobs: succeeded, at the first attempt' "$(q -F ' ' -c "select count(*), max(j.attempts) from files f join processing_jobs j on j.file_id = f.id where f.status = 'succeeded'")" '6 1'
  "$ASSAY" report "$(q -c 'select id from files limit 1')" > "$W/report.json"; verdict 'a report is read back' "$(python3 -c 'import json,sys; json.load(open(sys.argv[1])); print("json")' "$W/report.json")" json
  "$ASSAY" sweep --mark >/dev/null 2>&1; verdict 'sweep: marked' "$(row sweep)" 'ok .*'
  verdict 'sweep: the bucket is listed, and what is young stays' "$("$ASSAY" sweep --json 2>/dev/null | python3 -c 'import json,sys; d = json.load(sys.stdin); print(d["listed"] >= 12, d["deleted"])')" 'True 0'
}
