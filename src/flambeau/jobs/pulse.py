"""Whether a ready worker still answers.

``jobs.dispatch`` beats the pulse of each of its workers four times a second: a worker that is
silent and could answer is sent a Ping. One that computes is left alone where it is
single-threaded and cannot answer; dispatch ends it when it takes too long. Beats are counted,
not seconds, so that a busy event loop is not taken for a silent worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.transport.messages import Ping

if TYPE_CHECKING:
    from flambeau.supervision.channel import Channel

BEAT = 0.25
"""Seconds between two beats."""
MISSED = 2
"""Beats without an answer to a Ping, after which a worker counts as silent."""


class Pulse:
    """The signs of life of one worker. A worker that has just loaded has given one."""

    __slots__ = ("_asked", "_channel", "_heard", "_missed", "answering")

    def __init__(self, channel: Channel) -> None:
        self.answering = True
        self._channel = channel
        self._heard = channel.heard
        self._asked = False
        self._missed = 0

    def beat(self, *, busy: bool) -> None:
        """Note what was heard since the last beat, and ask an idle worker for the next sign."""
        heard = self._channel.heard
        if heard != self._heard:
            self._heard = heard
            self._asked = False
            self._missed = 0
            self.answering = True
        elif self._asked and not busy:
            self._missed += 1
            self.answering = self.answering and self._missed < MISSED
        if not busy and not self._asked:
            self._channel.send(Ping())
            self._asked = True
