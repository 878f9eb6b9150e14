#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A token server for a registry (the registry's token specification, and its OAuth2 form).

usage: regtoken.py --key FILE --cert FILE --issuer NAME [--user U --password P] [--good SECONDS] [--refresh TOKEN] LOG

Prints its port once it listens on 127.0.0.1. Tokens are JWTs, RS256, signed by openssl; the registry accepts them for --good
seconds (default 300), while the answer claims 300. Who gives no user gets a token for repositories below public/ only. A
request is a line of LOG: method, whether it had credentials, scope, and the status.
"""
import argparse
import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse
import uuid

LEEWAY = 60  # what docker-registry adds to a token's end


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims):
    with open(options.cert) as f:
        der = "".join(line.strip() for line in f if not line.startswith("-"))
    head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", options.key], input=text.encode(), capture_output=True, check=True)
    return text + "." + b64(done.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, query, known):
        scope = query.get("scope", [""])[0]
        kind, name, actions = (scope.split(":") + ["", "", ""])[:3]
        allowed = known or name.startswith("public/")
        status = 200
        if known is None:
            status = 401
        now = int(time.time())
        claims = {"iss": options.issuer, "sub": options.user or "", "aud": query.get("service", [""])[0], "iat": now, "nbf": now - 5,
                  "exp": now + options.good - LEEWAY, "jti": str(uuid.uuid4()),
                  "access": [{"type": kind, "name": name, "actions": actions.split(",")}] if allowed and name else []}
        body = json.dumps({"token": sign(claims), "expires_in": 300} if status == 200 else {"details": "no"}).encode()
        with open(options.log, "a") as f:
            f.write(json.dumps({"method": self.command, "known": known, "scope": scope, "status": status}) + "\n")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        header = self.headers.get("Authorization", "")
        known = False
        if header:
            wanted = base64.b64encode(f"{options.user}:{options.password}".encode()).decode()
            known = True if header == "Basic " + wanted else None
        self.answer(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query), known)

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form.get("grant_type") == ["refresh_token"] and options.refresh and form.get("refresh_token") == [options.refresh]
        self.answer(form, True if good else None)


p = argparse.ArgumentParser()
for name in ("key", "cert", "issuer", "user", "password", "refresh"):
    p.add_argument("--" + name)
p.add_argument("--good", type=int, default=300)
p.add_argument("log")
options = p.parse_args()
open(options.log, "a").close()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
sys.stdout.close()
server.serve_forever()
