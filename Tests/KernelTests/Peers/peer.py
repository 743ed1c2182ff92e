#!/usr/bin/env python3
"""A peer on the kernel's own sockets: Multipath TCP (protocol 262) or, with --plain, ordinary TCP.

    peer.py listen  ADDRESS PORT [options]     prints `ready` once it listens
    peer.py connect ADDRESS PORT [options]

Each connection sends --send FILE (or --send-bytes N, or nothing) and closes that direction while it receives until the
end of the stream; with --echo it returns what it receives instead. One JSON object a connection goes to standard
output: bytes and SHA-256 both ways, what the kernel says of the connection and of each subflow, and the first error.
Exit status 0 when no connection met an error.
"""

import argparse
import ctypes
import hashlib
import json
import random
import signal
import socket
import struct
import sys
import threading
import time

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MPTCP_FULL_INFO = 4
TCP_CONGESTION = 13
TCP_INFO_SIZE = 280
SUBFLOW_INFO_SIZE = 8 + 128 + 128  # id, padding, two sockaddr_storage
MPTCP_INFO_SIZE = 128
MAXIMUM_SUBFLOWS = 32
CHUNK = 1 << 20

libc = ctypes.CDLL(None, use_errno=True)
output_lock = threading.Lock()


def socket_address(raw):
    family = struct.unpack_from("=H", raw)[0]
    port = struct.unpack_from("!H", raw, 2)[0]
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(family, raw[4:8])}:{port}"
    if family == socket.AF_INET6:
        return f"[{socket.inet_ntop(family, raw[8:24])}]:{port}"
    return "?"


def kernel_view(connection):
    """linux/mptcp.h, struct mptcp_full_info: None when the socket is plain TCP or has fallen back to it."""
    tcp = ctypes.create_string_buffer(TCP_INFO_SIZE * MAXIMUM_SUBFLOWS)
    subflows = ctypes.create_string_buffer(SUBFLOW_INFO_SIZE * MAXIMUM_SUBFLOWS)
    request = bytearray(40 + MPTCP_INFO_SIZE)
    struct.pack_into(
        "=6I2Q", request, 0, 0, TCP_INFO_SIZE, 0, SUBFLOW_INFO_SIZE, 0, MAXIMUM_SUBFLOWS,
        ctypes.addressof(subflows), ctypes.addressof(tcp))
    buffer = (ctypes.c_char * len(request)).from_buffer(request)
    length = ctypes.c_uint32(len(request))
    if libc.getsockopt(connection.fileno(), SOL_MPTCP, MPTCP_FULL_INFO, buffer, ctypes.byref(length)) != 0:
        return None
    kernel_tcp, _, kernel_subflow, _, count = struct.unpack_from("=5I", request)
    info = bytes(request[40:])
    flags, token = struct.unpack_from("=II", info, 8)
    view = {
        "fallback": bool(flags & 1),
        "token": token,
        "checksum": bool(info[42]),
        "subflowsTotal": info[80],
        "retransmits": struct.unpack_from("=I", info, 44)[0],
        "subflows": [],
    }
    tcp_step = min(kernel_tcp, TCP_INFO_SIZE)
    subflow_step = min(kernel_subflow, SUBFLOW_INFO_SIZE)
    for index in range(min(count, MAXIMUM_SUBFLOWS)):
        at = index * subflow_step
        raw = subflows.raw[at:at + subflow_step]
        acknowledged, received = struct.unpack_from("=QQ", tcp.raw, index * tcp_step + 120)
        view["subflows"].append({
            "id": struct.unpack_from("=I", raw)[0],
            "local": socket_address(raw[8:136]),
            "remote": socket_address(raw[136:264]),
            "bytesAcknowledged": acknowledged,
            "bytesReceived": received,
        })
    return view


class Watcher(threading.Thread):
    """Keeps the last that the kernel said of each subflow, because a closed one is no longer listed."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection = connection
        self.stopping = threading.Event()
        self.view = None
        self.subflows = {}

    def look(self):
        try:
            view = kernel_view(self.connection)
        except OSError:
            return
        if view is None:
            return
        if self.view is not None:
            view["subflowsTotal"] = max(view["subflowsTotal"], self.view["subflowsTotal"])
        self.view = view
        for subflow in view["subflows"]:
            self.subflows[(subflow["local"], subflow["remote"])] = subflow

    def run(self):
        while not self.stopping.is_set():
            self.look()
            self.stopping.wait(0.02)

    def finish(self):
        self.stopping.set()
        self.join()
        if self.view is None:
            return None
        return dict(self.view, subflows=list(self.subflows.values()))


class Transfer:
    def __init__(self, connection, number, options):
        self.connection = connection
        self.number = number
        self.options = options
        self.sent = 0
        self.sent_hash = hashlib.sha256()
        self.received = 0
        self.received_hash = hashlib.sha256()
        self.silence = 0.0
        self.error = None

    def chunks(self):
        if self.options.send:
            with open(self.options.send, "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        elif self.options.send_bytes:
            generator = random.Random(self.options.seed + self.number)
            left = self.options.send_bytes
            while left > 0:
                chunk = generator.randbytes(min(left, CHUNK))
                left -= len(chunk)
                yield chunk

    def fail(self, what, error):
        if self.error is None:
            self.error = f"{what}: {error}"

    def send_all(self, chunk):
        self.connection.sendall(chunk)
        self.sent += len(chunk)
        self.sent_hash.update(chunk)

    def send(self):
        try:
            for chunk in self.chunks():
                self.send_all(chunk)
            # A kernel whose side is closed refuses joins from then on (its state is no longer ESTABLISHED).
            time.sleep(self.options.hold)
            self.connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.fail("send", error)

    def receive(self):
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        copy = open(self.options.output, "wb", buffering=0) if self.options.output else None
        last = None
        try:
            while True:
                if self.options.pause:
                    time.sleep(self.options.pause)
                count = self.connection.recv_into(buffer)
                now = time.monotonic()
                if count and last is not None:
                    self.silence = max(self.silence, now - last)
                last = now
                if copy is not None:
                    copy.write(view[:count])
                if count == 0:
                    break
                self.received_hash.update(view[:count])
                self.received += count
                if self.options.echo:
                    self.send_all(view[:count])
            if self.options.echo:
                self.connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.fail("receive", error)

    def run(self):
        began = time.monotonic()
        self.connection.settimeout(self.options.timeout)
        watcher = Watcher(self.connection)
        watcher.start()
        sender = None
        # A mere sink closes its side at the end: a kernel that has closed it refuses joins.
        if not self.options.echo and (self.options.send or self.options.send_bytes):
            sender = threading.Thread(target=self.send, daemon=True)
            sender.start()
        self.receive()
        if sender is not None:
            sender.join()
        seconds = time.monotonic() - began
        view = watcher.finish()
        self.connection.close()
        result = {
            "connection": self.number,
            "seconds": round(seconds, 4),
            "sent": self.sent,
            "sentSHA256": self.sent_hash.hexdigest(),
            "received": self.received,
            "receivedSHA256": self.received_hash.hexdigest(),
            "silence": round(self.silence, 4),
            "error": self.error,
            "multipath": view is not None and not view["fallback"],
            "kernel": view,
        }
        with output_lock:
            print(json.dumps(result), flush=True)


def make_socket(options):
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, 0 if options.plain else IPPROTO_MPTCP)
    made.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, options.congestion.encode())
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    return made


def listen(options):
    listener = make_socket(options)
    listener.bind((options.address, options.port))
    listener.listen(max(128, options.connections))
    listener.settimeout(options.timeout)
    print("ready", flush=True)
    transfers, threads = [], []
    for number in range(options.connections):
        connection, _ = listener.accept()
        start(Transfer(connection, number, options), transfers, threads)
    # The listener stays open while transfers run: joins to an announced address need it.
    return finish(transfers, threads, listener)


def connect(options):
    transfers, threads = [], []
    for number in range(options.connections):
        connection = make_socket(options)
        if options.source:
            connection.bind((options.source, 0))
        connection.settimeout(options.timeout)
        try:
            connection.connect((options.address, options.port))
        except OSError as error:
            print(json.dumps({"connection": number, "error": f"connect: {error}"}), flush=True)
            return 1
        start(Transfer(connection, number, options), transfers, threads)
    return finish(transfers, threads, None)


def start(transfer, transfers, threads):
    thread = threading.Thread(target=transfer.run, daemon=True)
    thread.start()
    transfers.append(transfer)
    threads.append(thread)


def finish(transfers, threads, listener):
    for thread in threads:
        thread.join()
    if listener is not None:
        listener.close()
    return 1 if any(transfer.error for transfer in transfers) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["listen", "connect"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--plain", action="store_true", help="ordinary TCP")
    parser.add_argument("--source", help="local address of the first subflow (connect)")
    parser.add_argument("--send", help="file to send")
    parser.add_argument("--output", help="file for what is received (one connection)")
    parser.add_argument("--send-bytes", type=int, default=0, help="pseudo-random bytes to send, from --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--connections", type=int, default=1, help="how many, all at once")
    parser.add_argument("--congestion", default="cubic")
    parser.add_argument("--receive-buffer", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0, help="seconds before each read")
    parser.add_argument("--hold", type=float, default=0, help="seconds between the last byte sent and the end")
    parser.add_argument("--timeout", type=float, default=60, help="seconds without progress that are an error")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(listen(options) if options.role == "listen" else connect(options))


if __name__ == "__main__":
    main()
