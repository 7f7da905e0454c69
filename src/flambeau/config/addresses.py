"""Addresses as config.properties spells them, checked and completed with their default port.

``http://host[:port]``, ``https://host[:port]`` or ``unix:/path``. Called by ``config.table`` only;
opens nothing.
"""

from __future__ import annotations

import re

_PATTERN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^:/\[\]\s]+)(?::(?P<port>\d{1,9}))?"
    r"|unix:(?P<path>/\S+)",
    re.IGNORECASE,
)
_FIRST_REFUSED_PORT = 65535
"""The original refuses 65535 as well; kept, so that a file means the same in both."""


def completed(text: str, *, plain_port: int, tls_port: int) -> str:
    """``text`` with a lower-case scheme and a port; ValueError says what is wrong with it."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            "Invalid binding address (expected http://host:port, https://host:port or unix:/path)"
        )
    if match["path"]:
        return f"unix:{match['path']}"
    scheme = match["scheme"].lower()
    port = int(match["port"] or (tls_port if scheme == "https" else plain_port))
    if port >= _FIRST_REFUSED_PORT:
        raise ValueError(f"Invalid port number (expected 0 to {_FIRST_REFUSED_PORT - 1})")
    return f"{scheme}://{match['host']}:{port}"
