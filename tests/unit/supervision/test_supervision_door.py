"""Who is let in at the door for workers that call, and who is not."""

from __future__ import annotations

import asyncio
import os

import pytest

from flambeau.errors import WorkerStartFailed
from flambeau.supervision import door as doors
from flambeau.supervision.door import Door
from flambeau.transport import hello

pytestmark = pytest.mark.usefixtures("loud_loop")


@pytest.fixture
async def door():
    made = Door()
    yield made
    await made.close()


class Caller:
    """A connection to the door, and what it was offered."""

    def __init__(self, reader, writer, nonce: bytes) -> None:
        self.reader, self.writer, self.nonce = reader, writer, nonce
        self.ours = os.urandom(hello.NONCE)

    def claim(self, token: bytes) -> bytes:
        """What an honest worker with that token says."""
        proof = hello.proof(token, hello.WORKER, self.nonce, self.ours)
        return hello.name_of(token) + self.ours + proof

    async def say(self, data: bytes) -> bytes:
        """What the door answers to ``data``; empty when it hangs up."""
        self.writer.write(data)
        try:
            return await asyncio.wait_for(self.reader.read(10_000), 10)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
async def call():
    """``await call(address)``: a Caller."""
    callers = []

    async def connect(address: str) -> Caller:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        offer = await reader.readexactly(hello.OFFER)
        assert offer.startswith(hello.GREETING)
        callers.append(Caller(reader, writer, offer[-hello.NONCE :]))
        return callers[-1]

    yield connect
    for caller in callers:
        caller.close()


def flipped(data: bytes) -> bytes:
    """One bit of the last byte is another."""
    return data[:-1] + bytes([data[-1] ^ 1])


async def test_nobody_listens_before_the_first_invitation_nor_after_the_end(door):
    assert door._listener is None
    with door.invite("W-1") as invitation:
        assert invitation.address.startswith("127.0.0.1:")
    await door.close()
    host, _, port = invitation.address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_one_door_serves_every_invitation(door):
    assert door.invite("W-1").address == door.invite("W-2").address


async def test_who_proves_to_be_invited_is_let_in_and_gets_a_proof(door, call):
    with door.invite("W-1") as invitation:
        caller = await call(invitation.address)
        proof = await caller.say(caller.claim(invitation.secret))
        assert proof == hello.proof(invitation.secret, hello.SERVER, caller.nonce, caller.ours)
        connection = await invitation.caller()
    connection.close()
    assert await caller.reader.read() == b""


async def test_each_caller_reaches_the_invitation_of_its_token(door, call):
    invitations = [door.invite(f"W-{number}") for number in range(3)]
    callers = [await call(each.address) for each in invitations]
    for caller, invitation in zip(callers[::-1], invitations[::-1], strict=True):
        await caller.say(caller.claim(invitation.secret))
    for caller, invitation in zip(callers, invitations, strict=True):
        connection = await invitation.caller()
        assert connection.getpeername() == caller.writer.get_extra_info("sockname")
        connection.close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (lambda caller, secret: caller.claim(os.urandom(32)), "nobody was invited"),
        (lambda caller, secret: flipped(caller.claim(secret)), "does not know the token"),
        (
            lambda caller, secret: (
                hello.name_of(secret)
                + caller.ours
                + hello.proof(secret, hello.SERVER, caller.nonce, caller.ours)
            ),
            "does not know the token",
        ),
        (lambda caller, secret: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".ljust(80), "nobody was"),
        (lambda caller, secret: os.urandom(1_000_000), "nobody was invited"),
    ],
    ids=["wrong token", "wrong proof", "the server's proof", "garbage", "oversize"],
)
async def test_a_stranger_is_turned_away_without_a_word(door, call, said, reason, caplog):
    with door.invite("W-1") as invitation:
        secret = invitation.secret
        stranger = await call(invitation.address)
        assert await stranger.say(said(stranger, secret)) == b""
        assert reason in caplog.text
        # It did no harm to who was meant.
        caller = await call(invitation.address)
        assert await caller.say(caller.claim(secret))
        (await invitation.caller()).close()


async def test_a_proof_that_was_heard_is_of_no_use_to_another(door, call):
    with door.invite("W-1") as invitation:
        heard = await call(invitation.address)
        claim = heard.claim(invitation.secret)
        other = await call(invitation.address)
        assert await other.say(claim) == b""
        assert await heard.say(claim)
        (await invitation.caller()).close()


async def test_a_token_opens_the_door_once(door, call):
    with door.invite("W-1") as invitation:
        first, second = await call(invitation.address), await call(invitation.address)
        assert await first.say(first.claim(invitation.secret))
        assert await second.say(second.claim(invitation.secret)) == b""
        (await invitation.caller()).close()


async def test_an_invitation_that_was_taken_back_opens_nothing(door, call):
    with door.invite("W-1") as invitation:
        pass
    caller = await call(invitation.address)
    assert await caller.say(caller.claim(invitation.secret)) == b""


async def test_who_came_in_vain_is_sent_away(door, call):
    with door.invite("W-1") as invitation:
        caller = await call(invitation.address)
        assert await caller.say(caller.claim(invitation.secret))
    assert await caller.reader.read() == b""


async def test_silence_is_not_listened_to_for_long(door, call, monkeypatch, caplog):
    monkeypatch.setattr(doors, "HELLO_LIMIT", 0.05)
    with door.invite("W-1") as invitation:
        silent = await call(invitation.address)
        assert await asyncio.wait_for(silent.reader.read(), 10) == b""
        slow = await call(invitation.address)
        assert await slow.say(slow.claim(invitation.secret)[:-1]) == b""
    assert caplog.text.count("no proof within 0.05 s") == 2


async def test_of_too_many_strangers_the_one_that_took_longest_goes(door, call, monkeypatch):
    monkeypatch.setattr(doors, "MOST_STRANGERS", 2)
    with door.invite("W-1") as invitation:
        first = await call(invitation.address)
        second = await call(invitation.address)
        third = await call(invitation.address)
        assert await asyncio.wait_for(first.reader.read(), 10) == b""
        assert await third.say(third.claim(invitation.secret))
        assert not second.reader.at_eof()
        (await invitation.caller()).close()


async def test_a_worker_that_does_not_call_is_a_failed_start(door, monkeypatch):
    monkeypatch.setattr(doors, "CALL_LIMIT", 0.02)
    late = pytest.raises(WorkerStartFailed, match=r"W-1 did not call within 0\.02 s")
    with door.invite("W-1") as invitation, late:
        await invitation.caller()


async def test_closing_leaves_no_stranger_waiting(door, call):
    invitation = door.invite("W-1")
    caller = await call(invitation.address)
    await door.close()
    assert await caller.reader.read() == b""


async def test_an_address_of_ipv6_can_be_called(call):
    door = Door("::1")
    try:
        with door.invite("W-1") as invitation:
            caller = await call(invitation.address)
            assert await caller.say(caller.claim(invitation.secret))
            (await invitation.caller()).close()
    except OSError:
        pytest.skip("no IPv6 here")
    finally:
        await door.close()
