"""Bounds that one listener holds its clients to. Built by ``server`` from the settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds. Times are kept by one sweep per second, not to the dot."""

    request_line: int = 4095
    """Longest request line, without its end."""
    header_bytes: int = 8191
    """All header lines together, without their ends."""
    body: int = 6_553_500
    """Largest body; one byte more is answered with 413."""
    discard: int = 64 * 1024 * 1024
    """A refused body up to this size is read and dropped, so that the connection can live on."""
    connections: int = 10_000
    """Connections open at once; one more is answered with 503."""
    header_timeout: float = 30.0
    """From the first byte of a request to the end of its head."""
    body_timeout: float = 60.0
    """Longest silence within a body; also what a body may take in all, beside ``body_rate``."""
    body_rate: float = 1024.0
    """Bytes per second that earn a slow body more time."""
    idle_timeout: float = 300.0
    """Between requests."""
    write_timeout: float = 60.0
    """A client that takes no byte of its answer for so long is cut off."""
    linger_timeout: float = 5.0
    """After a closing answer, for the client to read it and close."""
    backlog: int = 2048
    """Connections the kernel holds until they are accepted."""
