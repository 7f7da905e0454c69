"""Our protocol and uvicorn's accept and reject the same bytes, and see the same requests in them.

Where they differ on purpose, the case says why in ``differs``; it must then really differ.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time

import pytest
import uvicorn
from http_wire import (
    Case,
    Refusals,
    asgi_echo,
    converse,
    echo_application,
    load_cases,
    split_answers,
)

from flambeau.http.listeners import Address, open_listener


@pytest.fixture(scope="module")
def uvicorn_port():
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        asgi_echo, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield sock.getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join()
    sock.close()


def outcome(received: bytes) -> tuple[list[dict], bool]:
    """The requests that were served, and whether something was refused."""
    served, refused = [], False
    for answer in split_answers(received):
        if answer.status == 200 and answer.body.startswith(b"{"):
            seen = json.loads(answer.body)
            seen["headers"] = [[name.lower(), value] for name, value in seen["headers"]]
            served.append(seen)
        refused = refused or answer.status >= 400
    return served, refused


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.name)
async def test_uvicorn_agrees_unless_the_case_says_why_not(case: Case, uvicorn_port: int):
    listener = await open_listener(
        Address.parse("http://127.0.0.1:0"), echo_application, Refusals()
    )
    ours, theirs = await asyncio.gather(
        converse(listener.port, case.send, len(case.answers)),
        converse(uvicorn_port, case.send, 0 if case.differs else len(case.answers)),
    )
    listener.close()
    listener.abort()
    if case.differs:
        assert outcome(ours[0]) != outcome(theirs[0]), "no longer differs: drop the remark"
    else:
        assert outcome(ours[0]) == outcome(theirs[0])
