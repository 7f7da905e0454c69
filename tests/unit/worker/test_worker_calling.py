"""A worker calls: what it believes, and what it does not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from flambeau.transport import frames, hello
from flambeau.transport.messages import Ping, Pong
from flambeau.worker import calling

TOKEN = bytes(range(32))


@pytest.fixture
def answered():
    """``answered(talk)``: the address of a server that says what ``talk(connection)`` does."""
    threads = []

    def start(talk) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(10)
                talk(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def offer(connection) -> tuple[bytes, bytes]:
    """Our nonce and the worker's claim."""
    nonce = os.urandom(hello.NONCE)
    connection.sendall(hello.GREETING + nonce)
    return nonce, connection.recv(10_000)


def prove(connection, token: bytes = TOKEN, role: bytes = hello.SERVER) -> None:
    nonce, claim = offer(connection)
    theirs = claim[hello.NAME : -hello.PROOF]
    connection.sendall(hello.proof(token, role, nonce, theirs))


def test_both_prove_that_they_know_the_token(answered):
    heard = []

    def talk(connection) -> None:
        nonce, claim = offer(connection)
        heard.append(claim)
        theirs = claim[hello.NAME : -hello.PROOF]
        assert claim[: hello.NAME] == hello.name_of(TOKEN)
        assert claim[-hello.PROOF :] == hello.proof(TOKEN, hello.WORKER, nonce, theirs)
        connection.sendall(hello.proof(TOKEN, hello.SERVER, nonce, theirs) + b"frame")

    with calling.call(answered(talk), TOKEN) as connection:
        assert connection.recv(5) == b"frame", "what follows the proof is not lost"
        assert connection.gettimeout() is None
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert len(heard[0]) == hello.CLAIM
    assert TOKEN not in heard[0]


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (lambda connection: prove(connection, os.urandom(32)), "does not know the token"),
        (lambda connection: prove(connection, role=hello.WORKER), "does not know the token"),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n".ljust(99)),
            "no server for",
        ),
        (lambda connection: connection.sendall(hello.GREETING), "turned this worker away"),
        (lambda connection: None, "turned this worker away"),
        (offer, "turned this worker away"),
    ],
    ids=["another token", "its own proof", "garbage", "half", "nothing", "no proof"],
)
def test_who_cannot_prove_it_is_not_served(answered, talk, reason):
    with pytest.raises(calling.NotConnected, match=reason):
        calling.call(answered(talk), TOKEN)


def test_a_server_that_says_nothing_is_not_waited_for_long(answered, monkeypatch):
    monkeypatch.setattr(calling, "LIMIT_S", 0.05)
    with pytest.raises(calling.NotConnected, match=r"did not let this worker in|no proof within"):
        calling.call(answered(lambda connection: connection.recv(100)), TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:x", ""])
def test_an_address_without_a_server_is_told(address):
    with pytest.raises(calling.NotConnected, match="no server at"):
        calling.call(address, TOKEN)


def started(address: str, line: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "flambeau.worker", "--connect", address],
        input=line,
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_the_program_takes_the_token_from_its_input_and_serves(answered):
    got = []

    def talk(connection) -> None:
        prove(connection)
        connection.sendall(frames.frame(Ping()))
        got.append(connection.recv(1000))

    done = started(answered(talk), TOKEN.hex().encode() + b"\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert got == [frames.frame(Pong())]


@pytest.mark.parametrize("line", [b"", b"\n", b"00ff\n", b"x" * 64 + b"\n", b"0" * 5000])
def test_anything_but_a_token_is_refused(line):
    done = started("127.0.0.1:1", line)
    assert done.returncode == 3
    assert b"standard input must hold the token" in done.stderr


def test_a_worker_without_its_server_leaves_with_a_word():
    done = started("127.0.0.1:1", TOKEN.hex().encode())
    assert done.returncode == 3
    assert done.stderr.startswith(b"no server at 127.0.0.1:1: ")
