#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A registry that lies: reghostile.py prints its port once it listens on 127.0.0.1. Its repositories are the cases below; /cases
lists them, a line each: NAME<TAB>TEXT, where TEXT is in the message that refuses NAME:1. Cases whose TEXT is "-" are to be
accepted."""
import gzip
import hashlib
import http.server
import io
import json
import sys
import tarfile
import time

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
blobs, manifests, cases = {}, {}, {}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put(data, kind):
    blobs[digest(data)] = data
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def tar(name, data=b"x"):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))
    return raw.getvalue()


RAW = tar("file")
GZ = gzip.compress(RAW, mtime=0)


def layer(**changes):
    return {**put(GZ, LAYER), **changes}


def config(n=1, raw=RAW, **changes):
    return put(json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(raw)] * n},
                           **changes}).encode(), CONFIG)


def manifest(layers=None, conf=None, **changes):
    layers = [layer()] if layers is None else layers
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": conf or config(len(layers)), "layers": layers, **changes}


def case(name, text, body, head=None, kind=MANIFEST, status=200):
    """body: JSON, bytes, or a function that writes to the client itself."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    manifests[name] = (status, kind, body, head or {})
    cases[name] = text


def image(**changes):
    data = json.dumps(manifest(**changes)).encode()
    manifests[digest(data)] = (200, MANIFEST, data, {})
    return {"mediaType": MANIFEST, "digest": digest(data), "size": len(data)}


def index(*entries):
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}


def endless(out):
    while True:
        out.write(b" " * 65536)


HEX = "0" * 64
case("fine", "-", manifest())
case("fine-index", "-", index(image()), kind=INDEX)
case("layers-100000", "more than", manifest([layer()] * 20000, config()))
case("layers-many-small", "layers, more than", manifest([layer()] * 3000, config(3000)))
case("layers-more-than-diffs", "layers, the config", manifest([layer(), layer()], config(1)))
case("diffs-more-than-layers", "layers, the config", manifest([layer()], config(2)))
case("diff-id-wrong", "diff_id", manifest([layer()], config(1, tar("other"))))
case("diff-id-short", "no sha256 digest", manifest(None, config(rootfs={"type": "layers", "diff_ids": ["sha256:00"]})))
case("layer-digest-wrong", "other bytes than its digest", manifest([{**put(GZ, LAYER), "digest": "sha256:" + "1" * 64}]))
blobs["sha256:" + "1" * 64] = GZ
case("config-digest-wrong", "other bytes than its digest", manifest(None, {**config(), "digest": "sha256:" + "2" * 64}))
blobs["sha256:" + "2" * 64] = blobs[config()["digest"]]
case("layer-longer", "longer than", manifest([layer(size=10)]))
case("layer-shorter", "shorter than", manifest([layer(size=len(GZ) + 10)]))
case("layer-exabyte", "no size", manifest([layer(size=1 << 60)]))
case("layer-petabyte", "more than is allowed", manifest([layer(size=1 << 49)]))
case("layer-negative", "no size", manifest([layer(size=-1)]))
case("layer-float", "no size", manifest([layer(size=1.5)]))
case("config-huge", "larger than", manifest(None, {**config(), "size": 5 << 20}))
case("digest-upper", "no sha256 digest", manifest([layer(digest="sha256:" + "A" * 64)]))
case("digest-path", "no sha256 digest", manifest([layer(digest="sha256:../../../../etc/passwd" + "0" * 40)]))
case("digest-long", "no sha256 digest", manifest([layer(digest="sha256:" + "0" * 65)]))
case("digest-sha512", "no sha256 digest", manifest([layer(digest="sha512:" + "0" * 128)]))
case("digest-query", "no sha256 digest", manifest([layer(digest="sha256:" + "0" * 63 + "?")]))
case("manifest-body-huge", "larger than", b"{" + b" " * (5 << 20) + b"}")
case("manifest-endless", "larger than", endless)
case("manifest-not-json", "not JSON", b"<html>")
case("manifest-twice", "not JSON", b'{"schemaVersion": 2, "schemaVersion": 2}')
case("manifest-deep", "not JSON", b"[" * 100000)
case("manifest-empty", "not JSON", b"")
case("manifest-both", "neither", {**manifest(), "manifests": []})
case("manifest-schema1", "schema 1", {"schemaVersion": 1, "fsLayers": [], "history": []})
case("manifest-says-digest", "other bytes than its digest", manifest(), {"Docker-Content-Digest": "sha256:" + HEX})
case("artifact", "no container image", manifest(None, {**config(), "mediaType": "application/vnd.example.chart"}))
case("layer-type", "no layer of a file system", manifest([layer(mediaType="application/x-sh")]))
case("layer-encrypted", "no layer of a file system", manifest([layer(mediaType=LAYER + "+encrypted")]))
case("index-size", "should be", index({**image(), "size": 10}), kind=INDEX)
lie = image()
manifests["sha256:" + "3" * 64] = manifests[lie["digest"]]
case("index-digest", "other bytes than its digest", index({**lie, "digest": "sha256:" + "3" * 64}), kind=INDEX)
case("index-100000", "more than", index(*[{"digest": "sha256:" + HEX}] * 30000), kind=INDEX)
case("index-empty", "has no image", index(), kind=INDEX)
nested = image()
for _ in range(8):
    data = json.dumps(index(nested)).encode()
    manifests[digest(data)] = (200, INDEX, data, {})
    nested = {"mediaType": INDEX, "digest": digest(data), "size": len(data)}
case("index-nested", "an index in an index", index(nested), kind=INDEX)
case("head-huge", "-hostile-", manifest(), {f"X-{i}": "x" * 60000 for i in range(30)})
cases["head-huge"] = "head-huge"
case("realm-elsewhere", "not one of its hosts", b"", {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/latest"'}, status=401)
case("realm-file", "not one of its hosts", b"", {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}, status=401)
case("realm-user", "not one of its hosts", b"", {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1@example.org/"'}, status=401)
case("auth-unknown", "kind that is not known", b"", {"WWW-Authenticate": "Negotiate"}, status=401)
case("auth-malformed", "malformed", b"", {"WWW-Authenticate": 'Bearer realm="x'}, status=401)
case("auth-none", "kind that is not known", b"", {}, status=401)
case("escapes", "../escape", manifest([put(gzip.compress(tar("../escape"), mtime=0), LAYER)], config(1, tar("../escape"))))
BOMB = tar("zeros", bytes(64 << 20))
case("bomb", "max-size", manifest([put(gzip.compress(BOMB, 9, mtime=0), LAYER)], config(1, BOMB)))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, kind, body, head):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for key, value in head.items():
            self.send_header(key, value)
        if callable(body):
            self.send_header("Connection", "close")
            self.end_headers()
            body(self.wfile)
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = self.path.split("/")  # "", "v2", NAME, "manifests" or "blobs", WHICH
        if self.path == "/cases":
            self.reply(200, "text/plain", "".join(f"{k}\t{v}\n" for k, v in cases.items()).encode(), {})
        elif len(parts) == 5 and parts[3] == "manifests":
            found = manifests.get(parts[2] if parts[4] == "1" else parts[4], (404, "text/plain", b"", {}))
            self.reply(*found)
        elif len(parts) == 5 and parts[4] in blobs:
            self.reply(200, "application/octet-stream", blobs[parts[4]], {})
        else:
            self.reply(404, "text/plain", b"", {})

    def handle(self):
        try:
            super().handle()
        except OSError:
            time.sleep(0)  # the client has seen enough


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
sys.stdout.close()
server.serve_forever()
