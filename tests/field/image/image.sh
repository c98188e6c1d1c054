#!/bin/bash
# The package in a root of its own, as a container has it. See README.md.
HERE=$(cd "$(dirname "$0")" && pwd); . "$HERE/../infra/lib.sh"; HERE=$(cd "$HERE/../infra" && pwd); . "$HERE/setup_pg.sh"
[ "$(id -u)" = 0 ] || skip "only root can change the root"
for p in unshare setpriv chroot sha256sum; do command -v $p >/dev/null || skip "$p is missing"; done
: "${PACKAGE:?PACKAGE=archive of cargo xtask dist}"
USER_ID=65532; POD_GROUP=2000; R=$W/root; P=$W/package
mkdir "$P" && tar xzf "$PACKAGE" -C "$P" --strip-components=1
verdict "the package is whole" "$(cd "$P" && sha256sum --quiet --check SHA256SUMS 2>&1; echo $?)" 0
verdict "completions" "$(ls "$P/completions" | tr '\n' ' ')" '_assay assay.bash assay.fish *'
verdict "bill of materials" "$(python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(d["bomFormat"], d["specVersion"], any(c["name"]=="wasmtime" for c in d["components"]))' "$P/sbom.cdx.json")" 'CycloneDX 1.5 True'
if command -v systemd-analyze >/dev/null; then
  verdict "the unit" "$(systemd-analyze verify --recursive-errors=no "$P/systemd/assay-worker.service" 2>&1 | grep assay-worker | grep -v 'not executable\|No such file' ; echo checked)" checked
fi

# The root: what the last stage of the Dockerfile copies, and its base.
mkdir -p "$R"/{etc/ssl/certs,proc,volumes/any,volumes/pod,volumes/other}
cp "$P/assay" "$R/"; cp -r "$P/guests" "$P/images" "$R/"
for library in $(ldd "$R/assay" | grep -o '/[^ ]*'); do mkdir -p "$R$(dirname "$library")"; cp -L "$library" "$R$library"; done
cp -L /etc/ssl/certs/ca-certificates.crt "$R/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/home/nonroot:/sbin/nologin\n' $USER_ID $USER_ID > "$R/etc/passwd"
printf 'root:x:0:\nnonroot:x:%s:\n' $USER_ID > "$R/etc/group"
chown -R 0:0 "$R"; chmod -R go-w "$R"
# The program in it: mounted read-only but for three volumes, which the next one finds empty. By the names that lib.sh uses.
cat > "$W/inside" <<S
#!/bin/bash
unset HOME; cd /
exec unshare --mount bash -c '
  mount --bind $R $R && mount -o remount,bind,ro $R && mount -t proc proc $R/proc || exit 99
  mount -t tmpfs -o mode=777 none $R/volumes/any && mount -t tmpfs -o mode=2775,gid=$POD_GROUP none $R/volumes/pod && mount -t tmpfs -o mode=777,uid=12345 none $R/volumes/other || exit 99
  exec setpriv --no-new-privs chroot --userspec=$USER_ID:$USER_ID --groups=$POD_GROUP $R /assay "\$@"' inside "\$@"
S
chmod +x "$W/inside"; OUTSIDE=$ASSAY
setup_pg; s3d; model; memo 5
ASSAY=$W/inside; export GUEST_DIR=/guests GUEST_CACHE_DIR=/images
"$ASSAY" --version >/dev/null || skip "this machine mounts nothing"
for guest in "$R"/guests/*.wasm; do verdict "guest check of $(basename "$guest")" "$("$ASSAY" guest check "/guests/$(basename "$guest")" >/dev/null 2>"$W/err"; echo $? $(cat "$W/err"))" 0; done
"$ASSAY" check --json >"$W/check.json" 2>"$W/check.err"; verdict "check" "$?" 0

# started NAME FILE [VAR=value...]: starts a worker, lets it do a file, stops it; says in how many ms it had started
started() { local n=$1 f=$2 t p; shift 2; t=$(date +%s%3N); worker "$n" LOG_LEVEL=info "$@"; MS=$(($(date +%s%3N)-t)); p=${PIDS[-1]}
  find "/proc/$p/root/volumes" -mindepth 2 -printf '%P %m %U\n' > "$W/$n.volumes" 2>/dev/null
  DONE=$("$OUTSIDE" submit "$W/$f" --wait --json 2>/dev/null | grep -q '"status": *"succeeded"' && echo succeeded); kill "$p"; wait "$p" 2>/dev/null; COMPILED=$(grep -c 'guest compiled' "$W/$n.log"); }
started given memo1.txt
verdict "images of root's: a file succeeds, nothing is compiled" "$DONE $COMPILED" 'succeeded 0'
verdict "images of root's: started within 2 s ($MS ms)" "$([ "$MS" -le 2000 ] && echo yes || echo "$MS ms")" yes
started none memo2.txt GUEST_CACHE_DIR=none
verdict "no folder: a file succeeds, guests are compiled in memory" "$DONE $([ "$COMPILED" -gt 0 ] && echo compiled) $(cat "$W/none.volumes")" 'succeeded compiled *'
started any memo3.txt GUEST_CACHE_DIR=/volumes/any
verdict "emptyDir: a file succeeds, with a private folder" "$DONE $([ "$COMPILED" -gt 0 ] && echo compiled) $(grep -v image "$W/any.volumes")" "succeeded compiled any/assay-$USER_ID 700 $USER_ID"
started pod memo4.txt GUEST_CACHE_DIR=/volumes/pod
verdict "emptyDir with fsGroup: a file succeeds, with a private folder" "$DONE $([ "$COMPILED" -gt 0 ] && echo compiled) $(grep -v image "$W/pod.volumes")" "succeeded compiled pod/assay-$USER_ID 2?700 $USER_ID"
GUEST_CACHE_DIR=/volumes/other "$ASSAY" worker >"$W/other.log" 2>&1; verdict "a folder of another user's is refused" "$? $(grep -o 'must be a folder of this user' "$W/other.log" | head -1)" '[1-9][0-9]* must be a folder of this user'

# Without Rust: unpack, `assay dev`, `assay submit`.
mkdir "$W/home"; cd "$W/home" || exit 1; clean() { env -i PATH="$PATH" HOME="$W/home" "$@"; }
# Not by the function: the process must be the program itself, to be stopped.
env -i PATH="$PATH" HOME="$W/home" "$P/assay" dev --json >"$W/dev.json" 2>"$W/dev.log" & PIDS+=($!)
for i in $(seq 240); do [ -s "$W/dev.json" ] && break; sleep 0.25; done
verdict "dev: a sample succeeds, nothing is compiled" "$(clean "$P/assay" --env-file .assay/env submit "$P/samples/en-release.succeeds.vtt" --wait --json 2>/dev/null | grep -q '"status": *"succeeded"' && echo succeeded) $(grep -c 'guest compiled' "$W/dev.log")" 'succeeded 0'
kill "${PIDS[-1]}"; wait "${PIDS[-1]}" 2>/dev/null; cd /
