#!/bin/bash
# Assay behind a PgBouncer that keeps no prepared statements and refuses options: Debian 12's. `cargo xtask setup` installs it.
. "$(dirname "$0")/lib.sh"; P=${PGBOUNCER:-$(command -v pgbouncer || echo /usr/sbin/pgbouncer)}; [ -x "$P" ] || skip 'pgbouncer is missing: cargo xtask setup'
. "$HERE/setup_pg.sh"; setup_pg; s3d; model; memo 24; U="postgres://postgres@127.0.0.1:$POOLER/assay"; D=$DATABASE_URL
# pooler MODE: one that keeps nothing and ignores no startup parameter
pooler() { sed "s/PG_PORT/$PG/; s/POOLER_PORT/$POOLER/; /IGNORE/d; /max_prepared/d; s/pool_mode = .*/pool_mode = $1/" "$HERE/pgbouncer.ini" > "$W/pgb.ini"; chmod 644 "$W/pgb.ini"
  if [ "$(id -u)" = 0 ]; then setpriv --reuid "$PGUSER_OS" --clear-groups "$P" "$W/pgb.ini" >"$W/pgb.log" 2>&1 & else "$P" "$W/pgb.ini" >"$W/pgb.log" 2>&1 & fi; B=$!; PIDS+=($B); sleep 1; }
pooler transaction; X="DATABASE_URL=$U DATABASE_POOLER=transaction"
verdict 'check' "$(row database $X)" 'ok .*'
verdict 'LISTEN is off' "$(row notifications $X)" 'warning .*DATABASE_DIRECT_URL.*'
verdict 'LISTEN past the pooler' "$(row notifications $X DATABASE_DIRECT_URL="$D")" 'ok .*'
verdict 'migrate needs a direct address' "$(env $X "$ASSAY" migrate 2>&1 | tail -1)" '.*DATABASE_DIRECT_URL.*'
verdict 'migrate past the pooler' "$(env $X DATABASE_DIRECT_URL="$D" "$ASSAY" migrate >/dev/null 2>&1; echo $?)" 0
worker w $X; FIRST=${PIDS[-1]}
bad=0; for i in $(seq 24); do env $X "$ASSAY" submit "$W/memo$i.txt" >/dev/null 2>&1 || bad=$((bad+1)); done; verdict 'submits' "$bad of 24 failed" '0 of 24 failed'
until_sql 60 "select count(*) = 24 from files where status = 'succeeded'"
verdict 'jobs: succeeded, at the first attempt' "$(q -F ' ' -c "select count(*), max(j.attempts) from files f join processing_jobs j on j.file_id = f.id where f.status = 'succeeded'")" '24 1'
for c in 'status' 'jobs list' 'queue pause --reason test' 'queue resume' 'release list'; do verdict "command: $c" "$(env $X "$ASSAY" $c >/dev/null 2>"$W/err"; echo $?)" 0; done
verdict 'nothing is left on the sessions of the server' "$(psql "$U" -X -qAt -F ' ' -c 'select (select count(*) from pg_prepared_statements), (select count(*) from pg_listening_channels())' -c 'show statement_timeout' | tr '\n' ' ')" '0 0 0 '
kill "$FIRST"; wait "$FIRST" 2>/dev/null; kill $B; wait $B 2>/dev/null
pooler session; X="DATABASE_URL=$U DATABASE_OPTIONS=off"
verdict 'session mode: check' "$(row database $X)" 'ok .*'
verdict 'session mode: LISTEN' "$(row notifications $X)" 'ok .*'
worker w2 $X
"$ASSAY" submit "$W/memo1.txt" >/dev/null; until_sql 30 "select count(*) = 25 from files where status = 'succeeded'"
verdict 'session mode: jobs' "$(q -c "select count(*) from files where status = 'succeeded'")" 25
