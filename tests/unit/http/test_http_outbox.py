"""Answers that leave together: one client's trouble is not another's."""

from __future__ import annotations

import asyncio

from flambeau.http.reception import Outbox


class Client:
    def __init__(self, *, breaks: bool = False) -> None:
        self.breaks = breaks
        self.got: list[bytes] = []
        self.went_on = self.aborted = False

    def write(self, answer: bytes) -> None:
        if self.breaks:
            raise OSError("gone")
        self.got.append(answer)

    def sent_all(self) -> None:
        self.went_on = True

    def abort(self) -> None:
        self.aborted = True


async def test_a_client_that_cannot_be_written_to_does_not_cost_the_others_their_answers() -> None:
    outbox, first, broken, last = Outbox(), Client(), Client(breaks=True), Client()
    for client in (first, broken, last):
        outbox.put(client, b"answer")
    assert first.got == []  # they leave together, at the end of the round
    await asyncio.sleep(0)
    assert [first.got, last.got] == [[b"answer"], [b"answer"]]
    assert [first.went_on, last.went_on, broken.aborted] == [True, True, True]
