#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A front to a registry, with faults; and a proxy.

usage: regfront.py --upstream HOST:PORT [--cert FILE --key FILE] [--as HOST:PORT] LOG

Prints its port once it listens on 127.0.0.1, then serves until SIGTERM. Requests go to the upstream as they are, Host header included,
so that its own redirects and realms stay what they are; with --as the upstream is told that name. Absolute URLs and CONNECT (a
proxy's requests) go to the upstream too, whatever host they name.

A request is a line of LOG, written when it has ended: JSON of method, target, status, sent (bytes of the body), and the headers
authorization (the scheme only), range, if_range, host. What is done to blobs is said by LOG.faults, a JSON object that is read anew for
each request:

    cut N            the connection is closed after N bytes of an answer's body, if it is longer
    cuts N           ... but only the first N times (default: always)
    rate N           bytes a second
    ranges false     Range is ignored: the whole blob, 200
    etag TEXT        in place of the upstream's
    redirect URL     blobs are at URL + target (302)
    damage N         the first N answers to ranges have a wrong byte
    junk N           the first N answers have a wrong first byte
    stall true       no answer at all

Counting starts anew when the file changes.
"""
import argparse
import json
import os
import socket
import ssl
import sys
import threading
import time

COUNTS = {}
LOCK = threading.Lock()


def first(faults, key, n):
    """Is this one of the first n since the faults were changed?"""
    key = (faults.get("id"), key)
    with LOCK:
        COUNTS[key] = COUNTS.get(key, 0) + 1
        return COUNTS[key] <= n


def read_head(f):
    lines = []
    while True:
        line = f.readline(65536)
        if not line:
            return None
        if line in (b"\r\n", b"\n"):
            return lines
        lines.append(line.rstrip(b"\r\n"))


def headers_of(lines):
    pairs = [line.split(b":", 1) for line in lines[1:]]
    return {k.strip().lower().decode(): v.strip().decode() for k, v in pairs}


def faults_now():
    try:
        with open(options.log + ".faults") as f:
            return {**json.load(f), "id": os.fstat(f.fileno()).st_mtime_ns}
    except FileNotFoundError:
        return {}


def tunnel(client):
    """CONNECT: bytes to and fro."""
    host, port = options.upstream.rsplit(":", 1)
    upstream = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Established\r\n\r\n")

    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    t = threading.Thread(target=copy, args=(client, upstream), daemon=True)
    t.start()
    copy(upstream, client)
    t.join()


def ask(lines, target, headers, body, faults):
    """The upstream's answer: its head's lines, and a file with the body."""
    host, port = options.upstream.rsplit(":", 1)
    upstream = socket.create_connection((host, int(port)))
    method = lines[0].split()[0].decode()
    out = [f"{method} {target} HTTP/1.1"]
    for key, value in headers.items():
        if key in ("connection", "proxy-connection") or (key == "host" and options.name):
            continue
        if key in ("range", "if-range") and faults.get("ranges") is False:
            continue
        out.append(f"{key}: {value}")
    if options.name:
        out.append(f"host: {options.name}")
    out.append("connection: close")
    upstream.sendall("\r\n".join(out).encode() + b"\r\n\r\n" + body)
    f = upstream.makefile("rb")
    return read_head(f), f


def send_body(client, f, status, faults, is_blob):
    sent = 0
    limit = faults.get("cut") if is_blob else None
    rate = faults.get("rate") if is_blob else None
    damage = is_blob and status == 206 and "damage" in faults and first(faults, "damage", faults["damage"])
    damage |= is_blob and status == 200 and "junk" in faults and first(faults, "junk", faults["junk"])
    cut = False
    start = time.monotonic()
    while data := f.read(1024 if rate else 65536):
        if damage:
            data = bytes([data[0] ^ 1]) + data[1:]
            damage = False
        if limit is not None and sent + len(data) > limit:
            if cut or first(faults, "cut", faults.get("cuts", 1 << 30)):
                cut = True
                data = data[:limit - sent]
        client.sendall(data)
        sent += len(data)
        if cut:
            return sent
        if rate:
            time.sleep(max(0, start + sent / rate - time.monotonic()))
    return sent


def serve_one(client, f, entry):
    lines = read_head(f)
    if not lines:
        return False
    method, target, _ = lines[0].decode().split(" ", 2)
    headers = headers_of(lines)
    entry.update(method=method, target=target, status=0, sent=0, host=headers.get("host"),
                 authorization=headers.get("authorization", "").split(" ")[0], range=headers.get("range"),
                 if_range=headers.get("if-range"))
    if method == "CONNECT":
        tunnel(client)
        return False
    if target.startswith("http://"):
        target = "/" + target.split("/", 3)[3]
    body = f.read(int(headers.get("content-length", 0)))
    faults = faults_now()
    is_blob = "/blobs/" in target and method == "GET"
    if is_blob and faults.get("stall"):
        time.sleep(3600)
    if is_blob and "redirect" in faults:
        entry["status"] = 302
        client.sendall(f"HTTP/1.1 302 Found\r\nLocation: {faults['redirect']}{target}\r\nContent-Length: 0\r\n\r\n".encode())
        return True
    head, answer = ask(lines, target, headers, body, faults)
    entry["status"] = status = int(head[0].split()[1])
    kept = [line for line in head if not line.lower().startswith((b"connection:", b"etag:" if "etag" in faults else b"\0"))]
    if "etag" in faults:
        kept.append(f"ETag: {faults['etag']}".encode())
    client.sendall(b"\r\n".join(kept + [b"Connection: close"]) + b"\r\n\r\n")
    entry["sent"] = send_body(client, answer, status, faults, is_blob)
    return False


def serve(client):
    entry = {}
    try:
        if options.cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.cert, options.key)
            client = context.wrap_socket(client, server_side=True)
        elif client.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS, which is not spoken here
            raise OSError
        f = client.makefile("rb")
        while serve_one(client, f, entry):
            log(entry)
            entry = {}
    except (OSError, ssl.SSLError, ValueError):
        pass
    log(entry)
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    client.close()


def log(entry):
    if "method" in entry:
        with LOCK, open(options.log, "a") as out:
            out.write(json.dumps(entry) + "\n")


p = argparse.ArgumentParser()
p.add_argument("--upstream", required=True)
p.add_argument("--as", dest="name")
p.add_argument("--cert")
p.add_argument("--key")
p.add_argument("--address", default="127.0.0.1")
p.add_argument("log")
options = p.parse_args()
open(options.log, "a").close()
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((options.address, 0))
listener.listen(128)
print(listener.getsockname()[1], flush=True)
os.close(1)
while True:
    try:
        connection, _ = listener.accept()
    except KeyboardInterrupt:
        sys.exit(0)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
