"""No request a client can make up is answered with a server error, or not at all."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.http.head import BadMessage
from flambeau.rest.route import Api

METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "get"])
WORDS = st.sampled_from(
    [
        "models",
        "predictions",
        "echo",
        "1.0",
        "all",
        "set-default",
        "v1",
        "v2",
        "invoke",
        "predict",
        "infer",
        "invocations",
        "echo:predict",
        "ping",
        "metrics",
        "token",
        "versions",
    ]
)
PIECES = WORDS | st.text(max_size=6).map(lambda text: quote(text, safe="%&=;+"))
PATHS = st.lists(PIECES, max_size=7).map("/".join)
NAMES = st.sampled_from(["url", "limit", "next_page_token", "min_worker", "synchronous", "x"])
QUERIES = st.lists(st.tuples(NAMES, PIECES).map("=".join), max_size=4).map("&".join)
TYPES = st.sampled_from(
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "a/b;c",
        ";",
        "multipart/form-data;boundary=B",
        "multipart/form-data;boundary=",
    ]
)
FORM = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--\r\n'
BODIES = st.binary(max_size=60) | st.sampled_from(
    [b'{"url": "a"}', b'{"url": 1}', b"{", b"[[[[", b"--B\r\n\r\nx", b"a=%zz&b", FORM]
)
TARGETS = st.tuples(PATHS, QUERIES).map(lambda both: f"/{both[0]}?{both[1]}")


@pytest.fixture
def every(listen):
    return listen(*Api)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(method=METHODS, target=TARGETS, kind=TYPES, body=BODIES)
async def test_no_request_is_a_server_error(every, method, target, kind, body):
    try:
        response = await every.send(method, target, [("Content-Type", kind)], body)
    except BadMessage:
        return  # refused before it became a request
    assert response.status < 500 or response.status == 501
    assert response.headers["x-request-id"]
