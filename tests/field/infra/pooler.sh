#!/bin/bash
# Assay behind PgBouncer in transaction mode. Needs pgbouncer 1.21 or later (PGBOUNCER, default `pgbouncer`); it refuses root, so root runs it as postgres.
. "$(dirname "$0")/lib.sh"; P=${PGBOUNCER:-pgbouncer}; command -v "$P" >/dev/null || skip "pgbouncer is missing"
"$P" --version | head -1 | awk '{ split($2, v, "."); exit !(v[1] > 1 || v[2] >= 21) }' || skip "pgbouncer is older than 1.21"
. "$HERE/setup_pg.sh"; setup_pg; s3d; model; memo 24; U="postgres://postgres@127.0.0.1:$POOLER/assay"
pooler() { sed "s/PG_PORT/$PG/; s/POOLER_PORT/$POOLER/; s/IGNORE/$1/" "$HERE/pgbouncer.ini" > "$W/pgb.ini"; chmod 644 "$W/pgb.ini"
  if [ "$(id -u)" = 0 ]; then setpriv --reuid "$PGUSER_OS" --clear-groups "$P" "$W/pgb.ini" >"$W/pgb.log" 2>&1 & else "$P" "$W/pgb.ini" >"$W/pgb.log" 2>&1 & fi; B=$!; PIDS+=($B); sleep 1; }
pooler options; verdict 'as docs/operations.md says (options)' "$(row database DATABASE_URL="$U")" 'ok .*'; kill $B; wait $B 2>/dev/null
pooler options,extra_float_digits; verdict 'with extra_float_digits' "$(row database DATABASE_URL="$U")" 'ok .*'
verdict 'LISTEN through a pooler is a warning' "$(row notifications DATABASE_URL="$U")" 'warning .*pooler.*'
for i in 1 2 3 4 5; do psql "$U" -X -qAt -c 'begin' -c 'listen assay_jobs' -c 'select pg_sleep(0.6)' -c 'commit' >/dev/null 2>&1 & l[$i]=$!; done; wait "${l[@]}"
bad=0; for i in $(seq 24); do DATABASE_URL=$U "$ASSAY" submit "$W/memo$i.txt" >/dev/null 2>&1 || bad=$((bad+1)); done; verdict 'submits on connections that LISTEN' "$bad of 24 failed" '0 of 24 failed'
