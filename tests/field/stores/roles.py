#!/usr/bin/env python3
"""A container's endpoint for the keys of a role: each pair ends after LIFE seconds, and is given to whoever asks in its first half.
usage: roles.py PORT KEYSFILE LIFE. KEYSFILE tells s3d.py (mode `keys=KEYSFILE`) which keys hold until when."""
import datetime, json, os, secrets, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
PORT, FILE, LIFE = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
LOCK, KEYS = threading.Lock(), []  # newest last: [id, secret, end]
def current():
    with LOCK:
        now = time.time()
        if not KEYS or KEYS[-1][2] - now < LIFE / 2:
            KEYS.append(["AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(16), now + LIFE])
            with open(FILE + ".new", "w") as file: json.dump({id: [secret, end] for id, secret, end in KEYS}, file)
            os.rename(FILE + ".new", FILE)
        return KEYS[-1]
class H(BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        id, secret, end = current()
        at = datetime.datetime.fromtimestamp(end, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = json.dumps({"AccessKeyId": id, "SecretAccessKey": secret, "Token": "session", "Expiration": at}).encode()
        self.send_response(200); self.send_header("Content-Type", "application/json"); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
ThreadingHTTPServer(("127.0.0.1", PORT), H).serve_forever()
