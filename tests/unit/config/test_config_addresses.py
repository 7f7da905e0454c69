from __future__ import annotations

import pytest

from flambeau.config.addresses import completed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0", "http://0.0.0.0:80"),
        ("HTTPS://Host", "https://Host:443"),
        ("https://h:1", "https://h:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://h:0", "http://h:0"),
        (" http://h:1 ", "http://h:1"),
        ("unix:/tmp/s.sock", "unix:/tmp/s.sock"),
    ],
)
def test_an_address_is_completed_with_its_default_port(text, expected):
    assert completed(text, plain_port=80, tls_port=443) == expected


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1:8080", "ftp://h:1", "http://", "http://h:1/x", "http://h:x", "unix:s", "unix:"],
)
def test_an_address_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="Invalid binding address"):
        completed(text, plain_port=80, tls_port=443)


@pytest.mark.parametrize("port", ["65535", "65536", "99999"])
def test_a_port_beyond_the_limit_is_refused(port):
    with pytest.raises(ValueError, match="Invalid port number"):
        completed(f"http://h:{port}", plain_port=80, tls_port=443)
