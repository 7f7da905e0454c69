from __future__ import annotations

import contextlib
import socket
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.transport import frames
from flambeau.transport.messages import (
    KINDS,
    TYPES,
    Cancel,
    Failed,
    JobHead,
    Kind,
    Load,
    Loaded,
    MetricPoint,
    PartHead,
    Ping,
    Pong,
    Predict,
    Replies,
    ReplyHead,
    Stop,
    WorkerSettings,
    pack_headers,
)

text = st.text(max_size=20)
count = st.integers(0, 2**31)
pairs = st.lists(st.tuples(text, text), max_size=3)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
documents = st.none() | st.dictionaries(text, plain, max_size=3)
parts = st.lists(st.builds(PartHead, text, text, count), max_size=3)
replies = st.lists(
    st.builds(ReplyHead, count, count, text, pairs, count, count, st.booleans()), max_size=3
)
points = st.builds(
    MetricPoint, text, st.floats(allow_nan=False), text, text, pairs, text, st.integers(0, 2**40)
)
MESSAGES = {
    Kind.LOAD: st.builds(
        Load,
        model_name=text,
        model_version=text,
        model_dir=text,
        handler=text,
        batch_size=count,
        gpu_id=st.none() | count,
        manifest=documents,
        model_yaml_config=documents,
        worker_name=text,
        settings=st.builds(
            WorkerSettings, envelope=text, sequence_headers=st.tuples(text, text, text)
        ),
    ),
    Kind.PREDICT: st.builds(
        Predict,
        st.lists(
            st.builds(JobHead, count, text, st.builds(pack_headers, pairs), parts), max_size=3
        ),
    ),
    Kind.CANCEL: st.builds(Cancel, st.lists(count, max_size=3)),
    Kind.STOP: st.builds(Stop),
    Kind.PING: st.builds(Ping),
    Kind.LOADED: st.builds(Loaded),
    Kind.FAILED: st.builds(Failed, text, text, st.booleans(), text),
    Kind.REPLIES: st.builds(Replies, replies, count, st.lists(points, max_size=2), st.booleans()),
    Kind.PONG: st.builds(Pong),
}


def split(data: bytes) -> tuple[object, bytes]:
    """The message of one frame and its blobs."""
    kind, metadata, blobs = frames.sizes(data[: frames.HEADER_SIZE])
    body = frames.HEADER_SIZE + metadata
    assert len(data) == body + blobs
    return frames.decode(kind, data[frames.HEADER_SIZE : body]), data[body:]


def test_every_kind_has_one_message_and_is_tried_here():
    assert set(MESSAGES) == set(Kind) == set(TYPES) == set(KINDS.values())
    assert {TYPES[kind]: kind for kind in Kind} == KINDS


@pytest.mark.parametrize("kind", list(Kind))
def test_a_message_comes_back_as_it_was_with_its_blobs(kind):
    @given(MESSAGES[kind], st.lists(st.binary(max_size=50), max_size=3))
    def comes_back(message, blobs):
        assert split(frames.frame(message, blobs)) == (message, b"".join(blobs))

    comes_back()


def test_the_head_alone_is_the_beginning_of_the_frame():
    message = Cancel([1, 2])
    assert frames.head(message, 5) + b"12345" == frames.frame(message, [b"123", b"45"])


@given(st.binary(min_size=frames.HEADER_SIZE, max_size=frames.HEADER_SIZE))
def test_a_hostile_header_is_refused_or_read(header):
    try:
        kind, metadata, blobs = frames.sizes(header)
    except frames.ProtocolError:
        return
    assert kind in set(Kind)
    assert metadata <= frames.MAX_METADATA
    assert 0 <= blobs <= frames.MAX_BLOBS


@given(st.sampled_from(list(Kind)), st.binary(max_size=200))
def test_hostile_metadata_is_refused_or_read(kind, metadata):
    try:
        message = frames.decode(kind, metadata)
    except frames.ProtocolError:
        return
    assert type(message) is TYPES[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_truncated_metadata_is_refused(kind):
    @given(MESSAGES[kind], st.data())
    def is_refused(message, data):
        whole = msgspec.msgpack.encode(message)
        cut = data.draw(st.integers(0, len(whole) - 1))
        with pytest.raises(frames.ProtocolError):
            frames.decode(kind, whole[:cut])

    is_refused()


@given(st.sampled_from(list(Kind)), st.data())
def test_a_damaged_byte_never_raises_anything_else(kind, data):
    whole = bytearray(msgspec.msgpack.encode(data.draw(MESSAGES[kind])))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(frames.ProtocolError):
        frames.decode(kind, bytes(whole))


def test_text_that_is_no_utf8_is_refused():
    with pytest.raises(frames.ProtocolError, match="FAILED"):
        frames.decode(Kind.FAILED, b"\x92\xa2\xff\xfe\xa0")


def test_metadata_nested_without_end_is_refused():
    load = msgspec.msgpack.encode(Load("", "", "", "", 1, None, {"k": None}, None))
    assert load.count(b"\x81\xa1k\xc0") == 1
    deep = load.replace(b"\x81\xa1k\xc0", b"\x81\xa1k" * 100_000 + b"\xc0")
    with pytest.raises(frames.ProtocolError):
        frames.decode(Kind.LOAD, deep)


def test_an_unknown_kind_is_named():
    with pytest.raises(frames.ProtocolError, match="unknown frame kind 99"):
        frames.sizes(struct.pack("<BII", 99, 0, 0))


def test_absurd_metadata_is_refused_before_it_is_read():
    with pytest.raises(frames.ProtocolError, match="over the limit"):
        frames.sizes(struct.pack("<BII", Kind.STOP, frames.MAX_METADATA + 1, 0))
    assert frames.sizes(struct.pack("<BII", Kind.STOP, frames.MAX_METADATA, 0))[0] == Kind.STOP


def test_blobs_over_four_gib_do_not_fit_one_frame():
    with pytest.raises(frames.ProtocolError, match="do not fit"):
        frames.head(Predict([]), frames.MAX_BLOBS + 1)
    assert frames.sizes(frames.head(Predict([]), frames.MAX_BLOBS)[: frames.HEADER_SIZE])[2] == (
        2**32 - 1
    )


def test_fields_added_at_the_end_are_optional_for_an_older_sender():
    older = msgspec.msgpack.encode([7, 200, "", [], 3])
    assert msgspec.msgpack.decode(older, type=ReplyHead) == ReplyHead(7, 200, "", [], 3)


def test_frames_cross_a_real_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as reader:
        sent = [(Ping(), [bytes([n])] * n) for n in range(5)]
        for message, blobs in sent:
            ours.sendall(frames.frame(message, blobs))
        for message, blobs in sent:
            kind, metadata, size = frames.sizes(reader.read(frames.HEADER_SIZE))
            assert frames.decode(kind, reader.read(metadata)) == message
            assert reader.read(size) == b"".join(blobs)
