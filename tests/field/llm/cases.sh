#!/bin/bash
# run.py: every case of cases.py by `assay guest try`.
set -eu
HERE=$(dirname "$(realpath "$0")")
for p in python3 openssl; do command -v $p >/dev/null || { echo "skipped $p is missing"; exit; }; done
DIST=$GUESTS GUEST_CACHE_DIR=$CACHE exec python3 -B "$HERE/run.py"
