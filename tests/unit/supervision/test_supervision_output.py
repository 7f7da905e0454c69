"""What the pipes of a worker leave to others: their descriptors."""

from __future__ import annotations

import os
import threading

import pytest

from flambeau.supervision.output import OutputPipes

pytestmark = pytest.mark.usefixtures("loud_loop")


@pytest.fixture
def stolen():
    """Descriptors of another thread that somebody closed, while it opens and closes some."""
    found: list[int] = []
    over = threading.Event()

    def use_descriptors() -> None:
        while not over.is_set():
            for descriptor in os.pipe():
                try:
                    os.close(descriptor)
                except OSError:
                    found.append(descriptor)

    user = threading.Thread(target=use_descriptors)
    user.start()
    yield found
    over.set()
    user.join()


async def test_no_descriptor_is_closed_twice(stolen):
    told: list[str] = []
    for number in range(1500):
        pipes = OutputPipes("W-1", lambda _name, _stream, line: told.append(line))
        pipes.follow()
        os.write(pipes.writers[0], b"last words")
        pipes.give_away()
        if number % 2:
            await pipes.ended
        else:
            pipes.close()
    assert stolen == []
    assert told == ["last words"] * 750


async def test_a_closed_pipe_is_over_and_may_be_closed_again():
    pipes = OutputPipes("W-1", lambda *_: None)
    pipes.follow()
    pipes.close()
    pipes.close()
    assert pipes.ended.done()
    pipes.give_away()
