from __future__ import annotations

import socket
import threading

import pytest

from flambeau.transport import frames
from flambeau.transport.messages import (
    NO_HEADERS,
    Cancel,
    JobHead,
    PartHead,
    Ping,
    Predict,
    Replies,
    ReplyHead,
)
from flambeau.worker.link import LinkLost, ServerLink


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, ServerLink(theirs)


def test_many_large_blobs_are_sent_whole(ends):
    ours, link = ends
    blobs = [b"%03d" % (n % 1000) * 300 for n in range(2000)]
    heads = [ReplyHead(n, 200, "", [], len(blob)) for n, blob in enumerate(blobs)]
    sender = threading.Thread(target=link.send, args=(Replies(heads), blobs))
    sender.start()
    reader = ours.makefile("rb")
    _, metadata, size = frames.sizes(reader.read(frames.HEADER_SIZE))
    reader.read(metadata)
    assert reader.read(size) == b"".join(blobs)
    sender.join()
    reader.close()


def test_a_frame_cut_short_is_the_end(ends):
    ours, link = ends
    whole = frames.frame(
        Predict([JobHead(1, "r", NO_HEADERS, [PartHead("body", "", 10)])]), [b"x" * 10]
    )
    ours.sendall(whole[:-3])
    ours.shutdown(socket.SHUT_WR)
    assert link.receive() is None
    assert link.is_cancelled(1)


def test_blobs_behind_a_frame_that_has_none_are_refused(ends):
    ours, link = ends
    ours.sendall(frames.head(Ping(), 3) + b"abc")
    with pytest.raises(frames.ProtocolError, match="PING"):
        link.receive()


def test_polling_an_empty_socket_does_not_wait(ends):
    _, link = ends
    link.poll()
    assert not link.is_cancelled(1)


def test_cancellations_are_forgotten_with_their_batches(ends):
    ours, link = ends
    ours.sendall(frames.frame(Cancel([1])))
    assert link.is_cancelled(1)
    ours.sendall(frames.frame(Ping()))
    link.receive()
    assert not link.is_cancelled(1)


def test_sending_to_a_closed_socket_says_that_the_server_is_gone(ends):
    ours, link = ends
    ours.close()
    with pytest.raises(LinkLost):
        link.send(Ping())
