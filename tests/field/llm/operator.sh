#!/bin/bash
# operator_view.py: what an operator sees when the endpoint is wrong.
set -eu
HERE=$(dirname "$(realpath "$0")")
for p in python3 openssl; do command -v $p >/dev/null || { echo "skipped $p is missing"; exit; }; done
DIST=$GUESTS GUEST_CACHE_DIR=$CACHE exec python3 -B "$HERE/operator_view.py"
