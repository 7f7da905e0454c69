"""How a log line looks: the original's text forms, or one JSON object.

``logs.logs`` calls these when it flushes. Text that comes from outside never breaks a line
and never reaches a terminal as a control sequence: ``visible`` sees to that.
"""

from __future__ import annotations

import logging
import time

import msgspec

_LEVELS = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}


class JsonLine(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of any log in JSON form; empty fields are left out."""

    time: str
    level: str
    logger: str
    thread: str = ""
    message: str = ""
    exception: str = ""
    peer: str = ""
    method: str = ""
    target: str = ""
    protocol: str = ""
    status: int | None = None
    ms: int | None = None
    request_id: str = ""
    model: str = ""
    version: str = ""
    worker: str = ""
    queue_ms: float | None = None
    handler_ms: float | None = None

    def text(self) -> str:
        """The line, with its end."""
        return msgspec.json.encode(self).decode() + "\n"


class Stamps:
    """Local times as ``2026-11-22T10:16:00,527``; the last one is kept, since many lines share it."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._to_second = self._text = ""

    def of(self, now: float) -> str:
        """The stamp of an instant in seconds since the epoch."""
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._to_second = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second))
            self._text = f"{self._to_second},{rest:03d}"
        return self._text


def visible(text: str) -> str:
    """The text with every unprintable character but the tab spelled out by its code."""
    if text.isprintable():
        return text
    return "".join([one if one.isprintable() or one == "\t" else _spelled(one) for one in text])


def visible_lines(text: str) -> str:
    """The same for text of several lines; later ones are indented: no line passes for another."""
    return "\n    ".join([visible(line) for line in text.split("\n")])


def level_name(level: int) -> str:
    """The original's name of a ``logging`` level."""
    return _LEVELS.get(level) or logging.getLevelName(level)


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
