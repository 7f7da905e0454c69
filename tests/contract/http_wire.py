"""Raw-socket client and echo applications for the HTTP cases in ``http_cases``.

A case says which bytes are sent and what must come back. The echo application answers with what
it saw of the request, so that two servers can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from flambeau.http.refusal import Spelling, Why

CASES = Path(__file__).parent / "http_cases"
STATUS = {
    Why.MALFORMED: 400,
    Why.NO_HOST: 400,
    Why.OTHER_VERSION: 505,
    Why.TOO_LARGE: 413,
    Why.EXPECTATION: 417,
}
"""What the cases expect where the protocol refuses."""
HEADERS = b"content-type: application/json\r\n"
_PATIENCE = 5.0
_QUIET = 0.06


@dataclass
class Case:
    name: str
    send: list[bytes]
    answers: list[int]
    ends: str
    echo: list[dict] | None = None
    differs: str = ""


def text_of(value: str | dict) -> str:
    if isinstance(value, str):
        return value
    return value.get("after", "") + value["repeat"] * value["count"]


def load_cases() -> list[Case]:
    cases = []
    for path in sorted(CASES.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            raw = json.loads(line)
            raw["send"] = [text_of(part).encode("latin-1") for part in raw["send"]]
            raw["name"] = f"{path.stem}: {raw['name']}"
            cases.append(Case(**raw))
    return cases


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def split_answers(data: bytes) -> list[Answer]:
    answers = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"answer without end of head: {head[:200]!r}"
        line, *fields = head.decode("latin-1").split("\r\n")
        assert line.startswith("HTTP/1.1 "), line
        headers = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
        answer = Answer(int(line.split(" ")[1]), headers, b"")
        length = int(answer.header("content-length") or 0)
        if not data.startswith(b"HTTP/1.1 "):  # as behind an answer to HEAD
            answer.body, data = data[:length], data[length:]
        answers.append(answer)
    return answers


async def converse(port: int, parts: list[bytes], expected: int) -> tuple[bytes, str]:
    """All bytes the server sends, and whether it ``closed`` the connection or left it ``open``.

    Waits for ``expected`` answers, then only a moment longer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        sending = asyncio.ensure_future(_send(writer, parts))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while True:
            heads = received.count(b"HTTP/1.1 ")
            enough = heads >= expected and received.count(b"\r\n\r\n") >= heads
            limit = _QUIET if enough else deadline - loop.time()
            try:
                piece = await asyncio.wait_for(reader.read(1 << 20), max(limit, 0.001))
            except TimeoutError:
                if sending.done() or loop.time() >= deadline:
                    return received, "open"
                continue
            if not piece:
                return received, "closed"
            received += piece
    finally:
        sending.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, parts: list[bytes]) -> None:
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()


def echo_application(exchange) -> None:
    """Answers on our server with what it saw; /204, /304 and /404 answer with that status."""
    status = {b"/204": 204, b"/304": 304, b"/404": 404}.get(exchange.target, 200)
    seen = {
        "method": exchange.method.decode(),
        "target": exchange.target.decode(),
        "version": exchange.http_version,
        "headers": [(n.decode("latin-1"), v.decode("latin-1")) for n, v in exchange.headers],
        "body": b"".join(exchange.body).decode("latin-1"),
    }
    exchange.respond(status, "", HEADERS, json.dumps(seen).encode(), close=status >= 400)


class Refusals(list):
    """Spells refusals without a word, and keeps them."""

    def __call__(self, refusal) -> Spelling:
        self.append(refusal)
        return Spelling(STATUS[refusal.why], "", b"", b"")


async def asgi_echo(scope, receive, send) -> None:
    """The same as an ASGI application."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    status = {b"/204": 204, b"/304": 304, b"/404": 404}.get(target, 200)
    seen = {
        "method": scope["method"],
        "target": target.decode("latin-1"),
        "version": scope["http_version"],
        "headers": [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    text = b"" if status in {204, 304} else json.dumps(seen).encode()
    headers = [(b"content-length", b"%d" % len(text))] if text else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
