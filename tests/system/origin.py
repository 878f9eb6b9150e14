#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An HTTP origin over a directory, with faults that are switched while it runs.

usage: origin.py DIRECTORY [--port N] [--control-port N]

Prints "DATA-PORT CONTROL-PORT" when both listen on 127.0.0.1, then serves until SIGTERM. Faults are rules; the
first one that matches a request's path is applied, otherwise the file is served as it is.

    POST /rule     {"mode": M, "match": REGEX, "count": N, ...}   puts a rule in front; count: how often (default: always)
    POST /clear                                                   drops all rules; ends what stalls and drips
    POST /down, /up                                               closes the port and every connection; listens again
    GET  /log      [{"t", "method", "path", "status", "bytes", "mode", "connection"}, ...]   finished requests
    GET  /stats    {"requests", "bytes", "connections", "in_flight", "max_in_flight"}
    POST /reset    forgets log and stats, keeps rules

    mode        what the client sees                                  parameters
    normal      the file; later rules are not looked at
    delay       the file, after a pause                               ms (then the file)
    stall       a connection that never answers
    stall-body  headers and half of the body, then nothing
    drip        headers, then the body slowly                         rate: bytes a second (default 10)
    status      an error                                              status (default 503), retry_after: seconds
    truncated   the whole Content-Length, half of the body, close
    short       a well-formed response with half of the body
    long        a well-formed response with junk after the body
    empty       a well-formed response without a body
    bitflip     the file with one bit of its middle inverted
    wrong       another chunk's object under this name
    reset       half of the body, then a TCP reset
    drop        the connection closed before any answer
    garbage     bytes that are not HTTP
    redirect    302                                                   location
"""

import argparse
import email.utils
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse

REASONS = {200: "OK", 206: "Partial Content", 302: "Found", 304: "Not Modified", 404: "Not Found"}


class Gone(Exception):
    """The connection is to be closed."""


class Origin:
    """What all connections share. Everything below is guarded by `lock`."""

    def __init__(self, directory):
        self.directory = os.path.realpath(directory)
        self.lock = threading.Lock()
        self.rules = []
        self.generation = threading.Event()  # set and replaced when the rules are cleared
        self.connections = {}
        self.last_connection = 0
        self.listener = None
        self.port = 0
        self.reset()

    def reset(self):
        self.log = []
        self.stats = {"requests": 0, "bytes": 0, "connections": 0, "in_flight": 0, "max_in_flight": 0}

    # ---- listening ----

    def up(self, port=0):
        with self.lock:
            if self.listener:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port or self.port))
            listener.listen(1024)
            self.listener = listener
            self.port = listener.getsockname()[1]
        threading.Thread(target=self.accept_loop, args=(listener,), daemon=True).start()

    def down(self):
        with self.lock:
            listener, self.listener = self.listener, None
            connections = list(self.connections.values())
        if listener:
            try:  # close() alone would not wake a thread in accept()
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        for sock in connections:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.release()

    def release(self):
        """Wakes whatever stalls or drips."""
        with self.lock:
            self.generation.set()
            self.generation = threading.Event()

    def accept_loop(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.last_connection += 1
                number = self.last_connection
                self.stats["connections"] += 1
                self.connections[number] = sock
            threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()

    def serve(self, sock, number):
        try:
            Connection(self, sock, number).run()
        except (Gone, OSError):
            pass
        finally:
            with self.lock:
                self.connections.pop(number, None)
            sock.close()

    # ---- rules and accounting ----

    def take_rule(self, path):
        with self.lock:
            for rule in self.rules:
                if not re.search(rule.get("match", ""), path):
                    continue
                if "count" in rule:
                    rule["count"] -= 1
                    if rule["count"] <= 0:
                        self.rules.remove(rule)
                return dict(rule), self.generation
            return {"mode": "normal"}, self.generation

    def begin(self):
        with self.lock:
            self.stats["in_flight"] += 1
            self.stats["max_in_flight"] = max(self.stats["max_in_flight"], self.stats["in_flight"])

    def end(self, entry):
        with self.lock:
            self.stats["in_flight"] -= 1
            self.stats["requests"] += 1
            self.stats["bytes"] += entry["bytes"]
            self.log.append(entry)

    def other_object(self, path):
        """A file beside `path`, or in a folder beside its folder."""
        folder = os.path.dirname(path)
        for where in (folder, os.path.dirname(folder)):
            for root, _, names in sorted(os.walk(where)):
                for name in sorted(names):
                    if os.path.join(root, name) != path:
                        return os.path.join(root, name)
        return path


class Connection:
    """One client, one request after the other."""

    def __init__(self, origin, sock, number):
        self.origin = origin
        self.sock = sock
        self.number = number
        self.input = b""

    def run(self):
        while True:
            head = self.read_head()
            if head is None:
                return
            method, path, headers = parse_head(head)
            rule, generation = self.origin.take_rule(path)
            entry = {"t": time.time(), "method": method, "path": path, "status": 0, "bytes": 0,
                     "mode": rule["mode"], "connection": self.number}
            self.origin.begin()
            try:
                self.answer(method, path, headers, rule, generation, entry)
            finally:
                self.origin.end(entry)
            if headers.get("connection", "").lower() == "close":
                return

    def read_head(self):
        while b"\r\n\r\n" not in self.input:
            more = self.sock.recv(65536)
            if not more or len(self.input) > 65536:
                return None
            self.input += more
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        return head

    def answer(self, method, path, headers, rule, generation, entry):
        mode = rule["mode"]
        if mode == "delay":
            self.pause(generation, rule.get("ms", 100) / 1000)
        elif mode == "stall":
            self.pause(generation)
            raise Gone
        elif mode == "drop":
            raise Gone
        elif mode == "garbage":
            self.send(entry, b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n")
            raise Gone
        elif mode == "status":
            extra = [f"Retry-After: {rule['retry_after']}"] if "retry_after" in rule else []
            return self.reply(entry, rule.get("status", 503), b"origin: a fault\n", extra)
        elif mode == "redirect":
            return self.reply(entry, 302, b"", [f"Location: {rule['location']}"])
        if method not in ("GET", "HEAD"):
            return self.reply(entry, 405, b"", [])

        file = os.path.realpath(self.origin.directory + urllib.parse.unquote(path))
        if not file.startswith(self.origin.directory + os.sep) or not os.path.isfile(file):
            return self.reply(entry, 404, b"no such file\n", [])
        if mode == "wrong":
            file = self.origin.other_object(file)
        with open(file, "rb") as f:
            info = os.fstat(f.fileno())
            body = f.read()
        etag = f'"{info.st_mtime_ns:x}-{info.st_ino:x}-{len(body):x}"'
        extra = [f"ETag: {etag}", "Last-Modified: " + email.utils.formatdate(info.st_mtime, usegmt=True)]
        if mode in ("normal", "delay") and headers.get("if-none-match") == etag:
            return self.reply(entry, 304, b"", extra)
        if mode == "bitflip" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1:]
        body = {"short": body[:len(body) // 2], "long": body + b"junk" * 64, "empty": b""}.get(mode, body)
        if method == "HEAD":
            return self.send(entry, self.head(200, len(body), extra), status=200)
        if mode in ("stall-body", "truncated", "reset", "drip"):
            return self.part(mode, body, extra, rule, generation, entry)
        return self.reply(entry, 200, body, extra)

    def part(self, mode, body, extra, rule, generation, entry):
        """Modes that announce the whole body and do not just send it."""
        half = body[:len(body) // 2]
        if mode != "drip":
            self.send(entry, self.head(200, len(body), extra) + half, status=200)
            if mode == "stall-body":
                self.pause(generation)
            elif mode == "reset":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        self.send(entry, self.head(200, len(body), extra), status=200)
        rate = rule.get("rate", 10)
        step = max(1, rate // 10)
        for at in range(0, len(body), step):
            if self.pause(generation, step / rate):
                raise Gone
            self.send(entry, body[at:at + step])

    def pause(self, generation, seconds=None):
        """Waits; ends early with True when the rules are cleared, with Gone when the client hangs up."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = 0.1 if end is None else min(0.1, end - time.monotonic())
            if left <= 0:
                return False
            if generation.wait(left):
                return True
            try:
                if not self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    raise Gone
            except BlockingIOError:
                pass

    def head(self, status, length, extra):
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Fault')}", f"Content-Length: {length}",
                 "Content-Type: application/octet-stream", *extra, "", ""]
        return "\r\n".join(lines).encode()

    def reply(self, entry, status, body, extra):
        self.send(entry, self.head(status, len(body), extra), status=status, count=False)
        self.send(entry, body)

    def send(self, entry, data, status=None, count=True):
        if status is not None:
            entry["status"] = status
        self.sock.sendall(data)
        if count:
            entry["bytes"] += len(data)


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3:
        raise Gone
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return words[0], words[1].partition("?")[0], headers


class Control:
    """The control port: one request a connection, one connection after the other."""

    def __init__(self, origin, port):
        self.origin = origin
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            sock, _ = self.listener.accept()
            with sock:
                sock.settimeout(10)
                try:
                    self.one(sock)
                except OSError:
                    pass

    def one(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        method, path, headers = parse_head(head)
        while len(body) < int(headers.get("content-length", 0)):
            more = sock.recv(65536)
            if not more:
                return
            body += more
        try:
            status, answer = 200, self.command(method, path, body)
        except (KeyError, ValueError, re.error) as e:
            status, answer = 400, {"error": repr(e)}
        text = (json.dumps(answer) + "\n").encode()
        sock.sendall(f"HTTP/1.1 {status} Answer\r\nContent-Length: {len(text)}\r\n"
                     "Connection: close\r\n\r\n".encode() + text)

    def command(self, method, path, body):
        origin = self.origin
        if (method, path) == ("POST", "/rule"):
            rule = json.loads(body)
            re.compile(rule.get("match", ""))
            if rule["mode"] not in MODES:
                raise ValueError(f"no mode {rule['mode']}")
            with origin.lock:
                origin.rules.insert(0, rule)
            return {}
        if (method, path) == ("POST", "/clear"):
            with origin.lock:
                origin.rules.clear()
            origin.release()
            return {}
        if (method, path) == ("POST", "/down"):
            origin.down()
            return {}
        if (method, path) == ("POST", "/up"):
            origin.up()
            return {}
        if (method, path) == ("POST", "/reset"):
            with origin.lock:
                in_flight = origin.stats["in_flight"]
                origin.reset()
                origin.stats["in_flight"] = in_flight
            return {}
        with origin.lock:
            if (method, path) == ("GET", "/log"):
                return list(origin.log)
            if (method, path) == ("GET", "/stats"):
                return dict(origin.stats)
        raise ValueError(f"no command {method} {path}")


MODES = ("normal delay stall stall-body drip status truncated short long empty bitflip wrong reset drop "
         "garbage redirect").split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    origin = Origin(args.directory)
    origin.up(args.port)
    control = Control(origin, args.control_port)
    print(origin.port, control.port, flush=True)
    control.run()


if __name__ == "__main__":
    sys.exit(main())
