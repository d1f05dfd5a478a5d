#!/usr/bin/env python3
"""Reads Slipway's events with a durable consumer, over nothing but NATS's own
protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol

    NATS_URL=nats://deck:secret@localhost:4222 ./subscribe.py --name deck

It prints one line for each event: when, what, about what, and the chain. What
came while it was away comes when it is back. The consumer is made by who looks
after the bus. Exit 1: the server refuses something, or is gone; start it again.
"""

import argparse
import json
import os
import secrets
import socket
import ssl
import sys
from urllib.parse import unquote, urlparse

STREAM = "SLIPWAY"


class Nats:
    """A connection to a server, for one thread."""

    def __init__(self, url, ca=None, cert=None, key=None):
        at = urlparse(url)
        self.socket = socket.create_connection((at.hostname, at.port or 4222), timeout=60)
        self.lines = self.socket.makefile("rb")
        info = json.loads(self.line().removeprefix("INFO "))
        if info.get("tls_required") or at.scheme == "tls":
            context = ssl.create_default_context(cafile=ca)
            if cert:
                context.load_cert_chain(cert, key)
            self.socket = context.wrap_socket(self.socket, server_hostname=at.hostname)
            self.lines = self.socket.makefile("rb")
        hello = {"verbose": False, "pedantic": False, "tls_required": False, "lang": "python", "version": "1",
                 "protocol": 1, "headers": True, "no_responders": True}
        if at.username and at.password is None:
            hello["auth_token"] = unquote(at.username)
        elif at.username:
            hello["user"], hello["pass"] = unquote(at.username), unquote(at.password)
        self.send(f"CONNECT {json.dumps(hello)}\r\nPING\r\n")
        while self.line() != "PONG":
            pass
        # A server lets each user subscribe below an inbox of its own.
        self.inbox = f"_INBOX.{unquote(at.username or 'subscriber')}.{secrets.token_hex(8)}"
        self.send(f"SUB {self.inbox}.* 1\r\n")
        self.asked = 0

    def send(self, text, body=b""):
        self.socket.sendall(text.encode() + body)

    def line(self):
        line = self.lines.readline().decode().rstrip("\r\n")
        if line.startswith("-ERR"):
            sys.exit(f"the server refuses it: {line[5:]}")
        if not line:
            sys.exit("the server has closed the connection")
        return line

    def message(self):
        """Waits for the next message: its reply subject, status and body."""
        while True:
            words = self.line().split(" ")
            if words[0] == "PING":
                self.send("PONG\r\n")
            if words[0] not in ("MSG", "HMSG"):
                continue
            size = int(words[-1])
            data = self.lines.read(size + 2)[:size]
            status, head = "", 0
            if words[0] == "HMSG":
                head = int(words[-2])
                first = data[:head].split(b"\r\n", 1)[0].decode().split(" ", 2)
                status = " ".join(first[1:])
            extra = 4 if words[0] == "MSG" else 5
            reply = words[3] if len(words) > extra else ""
            return reply, status, data[head:]

    def publish(self, subject, body, reply=""):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(f"PUB {subject} {reply} {len(body)}\r\n", body + b"\r\n")

    def ask(self, subject, body):
        self.asked += 1
        self.publish(subject, body, f"{self.inbox}.{self.asked}")


def main():
    args = argparse.ArgumentParser(description="Print Slipway's events.")
    args.add_argument("--name", required=True, help="of the durable consumer: what was read is kept under it")
    args.add_argument("--count", type=int, help="end after so many events")
    args.add_argument("--ca"), args.add_argument("--cert"), args.add_argument("--key")
    o = args.parse_args()
    nats = Nats(os.environ.get("NATS_URL", "nats://localhost:4222"), o.ca, o.cert, o.key)

    done = 0
    while o.count is None or done < o.count:
        nats.ask(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{o.name}", {"batch": 1, "expires": 30_000_000_000})
        reply, status, body = nats.message()
        if status:  # 404 and 408: nothing came in time; 100: a sign of life
            if status[:3] not in ("404", "408", "100"):
                sys.exit(f"read {o.name}: {status}")
            continue
        event = json.loads(body)
        print(event["time"], event["type"], event["subject"], event["data"]["context"]["chainId"], flush=True)
        # Only now is it done: who is killed before gets it again. The id tells
        # a repeat from a second event.
        nats.publish(reply, b"+ACK")
        done += 1


if __name__ == "__main__":
    try:
        main()
    except OSError as e:
        sys.exit(f"the connection to NATS: {e}")
