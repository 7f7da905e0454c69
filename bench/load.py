"""A load generator for machines without wrk: one process, non-blocking sockets, one epoll loop.

Closed loop: each connection sends its next request when the answer to the last one is complete.
Run as a program by ``measure``; prints one JSON object with requests, errors, seconds, p50_ms and
p99_ms. It costs more processor time than wrk, so wrk is preferred where there is one.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
from time import perf_counter

LARGEST_PIECE = 262144
"""Bytes read at once."""
SHORT = 16384
"""Bytes an empty send buffer takes without fail."""


class Connection:
    """One keep-alive connection and the answer being read from it."""

    __slots__ = ("begun", "buffer", "expected", "fd", "head", "pending", "room", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.fd = self.socket.fileno()
        self.pending: memoryview | None = None
        self.buffer = b""
        self.room = LARGEST_PIECE
        self.expected = 0
        self.head = b""
        self.begun = 0.0

    def send(self, request: bytes) -> bool:
        """Start the next request. False when the kernel took only a part of it."""
        self.begun = perf_counter()
        # A short request goes out whole: worth the shortcut, it is every request of most workloads.
        sent = self.socket.send(request) if len(request) < SHORT else 0
        return sent == len(request) or self._push(memoryview(request)[sent:])

    def resume(self) -> bool:
        """Send on what was left. False while a part still waits."""
        assert self.pending is not None
        return self._push(self.pending)

    def _push(self, view: memoryview) -> bool:
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                self.pending = view
                return False
        self.pending = None
        return True

    def receive(self) -> int:
        """The status once the answer is complete, 0 while it is not. Raises ConnectionError at its end."""
        piece = self.socket.recv(self.room)
        if not piece:
            raise ConnectionResetError("closed by the server")
        if not self.buffer and len(piece) == self.expected and piece.startswith(self.head):
            return 200
        self.buffer += piece
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or len(self.buffer) < (size := end + 4 + body_size(self.buffer[:end])):
            return 0
        status = int(self.buffer[9:12])
        if status == 200:
            self.expected, self.head = size, self.buffer[:12]
            # Room for a large piece is costly to make: the next answer is as long as this one.
            self.room = min(size + 1, LARGEST_PIECE)
        self.buffer = b""
        return status


def body_size(head: bytes) -> int:
    """The announced length of the body. Chunked answers are not supported."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Load:
    """``connections`` clients that repeat one request until the time is over."""

    def __init__(self, address: tuple[str, int], request: bytes, connections: int) -> None:
        self.address = address
        self.request = request
        self.poll = select.epoll()
        self.open: dict[int, Connection] = {}
        self.times: list[float] = []
        self.errors = 0
        for _ in range(connections):
            self._connect()

    def _connect(self) -> None:
        connection = Connection(self.address)
        self.open[connection.fd] = connection
        self.poll.register(connection.fd, select.EPOLLIN)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        if not connection.send(self.request):
            self.poll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def run(self, seconds: float) -> float:
        """The seconds it really took."""
        begin = perf_counter()
        end = begin + seconds
        while (now := perf_counter()) < end:
            for fd, event in self.poll.poll(0.2):
                self._turn(self.open[fd], event)
        return now - begin

    def _turn(self, connection: Connection, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                if connection.resume():
                    self.poll.modify(connection.fd, select.EPOLLIN)
                return
            status = connection.receive()
            if status == 200:
                self.times.append(perf_counter() - connection.begun)
            elif status:
                self.errors += 1
            if status:
                self._send(connection)
        except OSError:
            self.errors += 1
            self.poll.unregister(connection.fd)
            del self.open[connection.fd]
            connection.socket.close()
            self._connect()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--content-type", required=True)
    chosen = parser.parse_args()
    body = sys.stdin.buffer.read()
    head = (
        f"POST {chosen.path} HTTP/1.1\r\nHost: 127.0.0.1:{chosen.port}\r\n"
        f"Content-Type: {chosen.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    load = Load(("127.0.0.1", chosen.port), head.encode() + body, chosen.connections)
    seconds = load.run(chosen.seconds)
    times = sorted(load.times) or [0.0]
    print(
        json.dumps(
            {
                "requests": len(load.times),
                "errors": load.errors,
                "seconds": seconds,
                "p50_ms": times[len(times) // 2] * 1000,
                "p99_ms": times[int(len(times) * 0.99)] * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
