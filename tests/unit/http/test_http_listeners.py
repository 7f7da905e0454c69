"""Addresses, binding, TLS, unix sockets, and the end of a listener."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from pathlib import Path

import pytest

from flambeau.http.limits import Limits
from flambeau.http.listeners import Address, open_listener
from flambeau.http.refusal import Spelling

GET = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
CERTIFICATE = Path(__file__).parent / "localhost.pem"
"""Self-signed, for these tests only, made by openssl for localhost."""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("http://0.0.0.0", Address("0.0.0.0", 80)),
        ("https://example.org", Address("example.org", 443, tls=True)),
        ("https://[::1]:8443/", Address("::1", 8443, tls=True)),
        ("unix:/tmp/ts.sock", Address(path="/tmp/ts.sock")),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address):
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


def test_a_missing_port_can_be_given():
    assert Address.parse("http://h", 8081).port == 8081
    assert Address.parse("http://h:1", 8081).port == 1


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:80", "ftp://h:1", "http://", "http://h:99999", "unix:rel", "http://h/p"]
)
def test_a_bad_address_is_named(text: str):
    with pytest.raises(ValueError, match="Invalid address") as caught:
        Address.parse(text)
    assert repr(text) in str(caught.value)


def refuse(refusal) -> Spelling:
    """Says why."""
    return Spelling(403, refusal.why.name, b"", b"")


@contextlib.asynccontextmanager
async def listening(text: str, application, context: ssl.SSLContext | None = None, **limits):
    listener = await open_listener(
        Address.parse(text), application, refuse, Limits(**limits), context
    )
    try:
        yield listener
    finally:
        listener.close()
        listener.abort()
        await listener.drained()


async def ask(reader, writer, data: bytes = GET) -> bytes:
    writer.write(data)
    async with asyncio.timeout(5):
        received = await reader.readuntil(b"\r\n\r\n")
        received += await reader.read(1 << 16)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return received


async def test_an_address_in_use_is_named(answer):
    async with listening("http://127.0.0.1:0", answer) as listener:
        taken = f"http://127.0.0.1:{listener.port}"
        with pytest.raises(OSError, match="Failed to bind to address: " + taken):
            await open_listener(Address.parse(taken), answer, refuse)


async def test_an_unknown_host_is_named(answer):
    with pytest.raises(OSError, match=r"Failed to bind to address: http://256\.1\.1\.1:80"):
        await open_listener(Address.parse("http://256.1.1.1"), answer, refuse)


async def test_a_port_can_be_bound_again_at_once(answer):
    async with listening("http://127.0.0.1:0", answer) as listener:
        port = listener.port
        received = await ask(*await asyncio.open_connection("127.0.0.1", port))
        assert received.endswith(b"/hello")
    async with listening(f"http://127.0.0.1:{port}", answer):
        pass


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6_is_served_and_named_as_java_does(held, answer):
    try:
        async with listening("http://[::1]:0", held) as listener:
            reader, writer = await asyncio.open_connection("::1", listener.port)
            writer.write(GET)
            exchange = await held.next()
            assert exchange.peer == f"/[::1]:{writer.get_extra_info('sockname')[1]}"
            answer(exchange)
            assert (await reader.readuntil(b"/hello")).startswith(b"HTTP/1.1 200 ")
            writer.close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")


async def test_a_host_name_listens_on_every_address_it_has(answer):
    async with listening("http://localhost:0", answer) as listener:
        received = await ask(*await asyncio.open_connection("localhost", listener.port))
        assert received.endswith(b"/hello")


async def test_tcp_peers_are_named_with_a_slash(held, answer):
    async with listening("http://127.0.0.1:0", held) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(GET)
        exchange = await held.next()
        assert exchange.peer == f"/127.0.0.1:{writer.get_extra_info('sockname')[1]}"
        writer.close()


async def test_unix_sockets_are_served_and_removed(tmp_path: Path, held, answer):
    path = tmp_path / "s.sock"
    async with listening(f"unix:{path}", held) as listener:
        assert listener.port == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(str(path))
        asking = asyncio.ensure_future(ask(reader, writer))
        exchange = await held.next()
        assert exchange.peer == "127.0.0.1"
        answer(exchange)
        assert (await asking).endswith(b"/hello")
    assert not path.exists()


async def test_a_socket_file_left_by_a_dead_server_is_replaced(tmp_path: Path, answer):
    path = tmp_path / "s.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with listening(f"unix:{path}", answer):
        received = await ask(*await asyncio.open_unix_connection(str(path)))
        assert received.endswith(b"/hello")


async def test_a_socket_file_of_a_living_server_is_left_alone(tmp_path: Path, answer):
    path = tmp_path / "s.sock"
    async with listening(f"unix:{path}", answer):
        with pytest.raises(OSError, match=r"Failed to bind to address: unix:.*another server"):
            await open_listener(Address.parse(f"unix:{path}"), answer, refuse)
        assert path.exists()


async def test_a_plain_file_is_never_replaced_by_a_socket(tmp_path: Path, answer):
    path = tmp_path / "s.sock"
    path.write_text("precious")
    with pytest.raises(OSError, match="Failed to bind to address"):
        await open_listener(Address.parse(f"unix:{path}"), answer, refuse)
    assert path.read_text() == "precious"


@pytest.fixture
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_tls_is_served(server_context, answer):
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with listening("https://127.0.0.1:0", answer, server_context) as listener:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", listener.port, ssl=trust, server_hostname="localhost"
            )
            assert (await ask(reader, writer)).endswith(b"/hello")


async def test_tls_answers_that_close_are_read_to_the_end(server_context, answer):
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))

    def application(exchange):
        answer(exchange, b"x" * 3_000_000, 404, close=True)

    async with listening("https://127.0.0.1:0", application, server_context) as listener:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, ssl=trust, server_hostname="localhost"
        )
        writer.write(GET)
        async with asyncio.timeout(5):
            received = await reader.read()
        assert received.endswith(b"x" * 3_000_000)
        writer.close()


async def test_plain_http_to_a_tls_port_is_told_so(server_context, answer):
    async with listening("https://127.0.0.1:0", answer, server_context) as listener:
        received = await ask(*await asyncio.open_connection("127.0.0.1", listener.port))
        assert received == b"HTTP/1.1 403 PLAIN\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def test_a_client_that_never_speaks_does_not_stop_others_from_tls(server_context, answer):
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with listening("https://127.0.0.1:0", answer, server_context) as listener:
        silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(5)]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, ssl=trust, server_hostname="localhost"
        )
        assert (await ask(reader, writer)).endswith(b"/hello")
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:0", "https://127.0.0.1:0", "unix"])
async def test_a_listener_may_be_closed_twice(server_context, answer, address, tmp_path: Path):
    text = f"unix:{tmp_path}/s" if address == "unix" else address
    context = server_context if address.startswith("https") else None
    async with listening(text, answer, context) as listener:
        listener.close()
        listener.close()


async def test_an_https_address_needs_a_context(answer):
    with pytest.raises(ValueError, match="needs a certificate"):
        await open_listener(Address.parse("https://127.0.0.1:0"), answer, refuse)


async def test_closing_ends_idle_connections_and_serves_busy_ones(serve, held, answer):
    site = await serve(held)
    idle, busy, begun = [await site.connect() for _ in range(3)]
    await busy.send(GET + GET)
    exchange = await held.next()
    await begun.send(GET[:10])
    await site.settled(3)
    await site.begun(2)
    site.listener.close()
    assert await idle.rest() == b""
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", site.listener.port)
    drained = asyncio.ensure_future(site.listener.drained())
    await begun.send(GET[10:])
    answer(await held.next())
    status, headers, _ = await begun.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert not drained.done()
    answer(exchange)
    status, headers, _ = await busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await busy.rest() == b""
    for client in (idle, busy, begun):
        await client.close()
    await asyncio.wait_for(drained, 5)


async def test_aborting_ends_busy_connections_and_tells_their_requests(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    gone = asyncio.Event()
    exchange.on_gone = gone.set
    site.listener.close()
    site.listener.abort()
    await asyncio.wait_for(gone.wait(), 5)
    await asyncio.wait_for(site.listener.drained(), 5)


async def test_an_idle_listener_is_drained_at_once(serve, answer):
    site = await serve(answer)
    site.listener.close()
    await asyncio.wait_for(site.listener.drained(), 1)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_is_left_behind(answer, server_context, tmp_path: Path):
    async def once() -> None:
        async with listening("http://127.0.0.1:0", answer) as listener:
            await ask(*await asyncio.open_connection("127.0.0.1", listener.port))
        async with listening("https://127.0.0.1:0", answer, server_context) as listener:
            await ask(*await asyncio.open_connection("127.0.0.1", listener.port))
        async with listening(f"unix:{tmp_path}/s", answer):
            await ask(*await asyncio.open_unix_connection(f"{tmp_path}/s"))
        await asyncio.sleep(0.05)

    await once()
    before = open_descriptors()
    for _ in range(3):
        await once()
    assert open_descriptors() <= before
