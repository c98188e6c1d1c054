#!/bin/bash
# One flagged document among good ones, for minutes: how long the model is away for its sake, and what the good ones wait.
# usage: ASSAY=path/to/assay DIST=path/to/guest/dist ./flagged.sh      BATCHES=4 PAUSE=15 PORT=26000
set -eu
ASSAY=$(realpath "${ASSAY:?path to assay}") DIST=$(realpath "${DIST:-${GUESTS:?folder with meeting-v1.wasm}}")
PORT=${PORT:-26000} BATCHES=${BATCHES:-4} PAUSE=${PAUSE:-15} HERE=$(dirname "$(realpath "$0")")
work=$(mktemp -d); chmod 755 "$work"
trap 'kill $dev $model 2>/dev/null || true; wait $dev 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -B "$HERE/odd_model.py" "$PORT" > "$work/calls" & model=$!
LLM_BASE_URL=http://127.0.0.1:$PORT/flag_one/v1 LLM_MODEL=odd-1 LLM_API_KEY=k ADMIN_ADDR=127.0.0.1:$((PORT + 1)) \
    "$ASSAY" dev --data "$work/data" --guests "$DIST" --prompt-version meeting-v1 --json > "$work/ready" 2> "$work/log" & dev=$!
for _ in $(seq 600); do [ -s "$work/ready" ] && break; sleep 0.2; done
[ -s "$work/ready" ] || { cat "$work/log"; exit 1; }
assay() { "$ASSAY" --env-file "$work/data/env" "$@"; }

echo "Ana: FLAGGED words." > "$work/bad.txt"
bad=$(assay submit --json "$work/bad.txt" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["file_id"])')
start=$(date +%s)
for batch in $(seq "$BATCHES"); do
    for i in 1 2 3 4 5; do echo "Ana: batch $batch, number $i: we ship." > "$work/good-$batch-$i.txt"; done
    assay submit "$work"/good-"$batch"-*.txt > "$work/submitted"
    sleep "$PAUSE"
done
echo "$(($(date +%s) - start)) s, $((BATCHES * 5)) good documents"
python3 - "$work/log" "$bad" <<'PY'
import datetime, re, sys
text = re.sub(r"\x1b\[[0-9;]*m", "", open(sys.argv[1]).read())
at = lambda line: datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00"))
away, since, last = 0.0, None, None
for line in text.splitlines():
    if not re.match(r"\d{4}-", line):
        continue
    last = at(line)
    if "breaker_opened" in line and since is None:
        since = last
    if "breaker closed" in line and since is not None:
        away, since = away + (last - since).total_seconds(), None
now = datetime.datetime.now(datetime.timezone.utc)
away += (now - since).total_seconds() if since else 0
opened = text.count("breaker_opened")
codes = sorted(set(re.findall(r'outcome="(?!succeeded)(\w+)" code="(\w+)"', text)))
done = text.count('outcome="succeeded"')
right = opened == 0 and codes == [("failed", "llm_content_filtered")]
print(f"{'ok  ' if right else 'FAIL'} flagged_document: got {opened} breakers open for {away:.0f} s, {done} succeeded, the flagged one {codes} "
      "wanted 0 breakers, failed llm_content_filtered")
sys.exit(not right)
PY
