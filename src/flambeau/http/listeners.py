"""Addresses become listening sockets whose connections speak HTTP/1.1.

``server`` opens one listener per address and closes them when it stops: ``close`` takes no new
connection, ``drained`` waits for those that are busy, ``abort`` does not. It knows no endpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flambeau.http.limits import Limits
from flambeau.http.protocol import Connection
from flambeau.http.reception import Reception
from flambeau.http.tls import Doorman

if TYPE_CHECKING:
    import ssl

    from flambeau.http.reception import Application
    from flambeau.http.refusal import Refuse

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKET_MODE = 0o660
"""Unix sockets are for their owner and group: there is no other lock on them."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Address:
        """``http://host:port``, ``https://host:port`` or ``unix:/path``.

        Without a port: ``default_port``, else 80 or 443. Raises ValueError, naming the text.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/"):
                raise ValueError(f"Invalid address {text!r}: a unix socket needs an absolute path")
            return cls(path=path)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"Invalid address {text!r}: {error}") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/"):
            raise ValueError(
                f"Invalid address {text!r}: expected http://host:port, https://host:port "
                "or unix:/path"
            )
        if port is None:
            port = default_port if default_port is not None else _DEFAULT_PORTS[parts.scheme]
        return cls(host=parts.hostname, port=port, tls=parts.scheme == "https")

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Listener:
    """One listening address and its connections."""

    def __init__(
        self, address: Address, reception: Reception, sockets: list[socket.socket]
    ) -> None:
        self.address = address
        self.port: int = 0 if address.path else sockets[0].getsockname()[1]
        """The port bound, also where 0 was asked for; 0 for a unix socket."""
        self._reception = reception
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._doormen: list[Doorman] = []

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._reception)

    async def open(self, ssl_context: ssl.SSLContext | None) -> None:
        """Start accepting."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            if ssl_context is not None:
                self._doormen.append(Doorman(sock, self._reception, ssl_context))
            elif self.address.path:
                self._servers.append(await loop.create_unix_server(self._connection, sock=sock))
            else:
                server = await loop.create_server(
                    self._connection, sock=sock, backlog=self._reception.limits.backlog
                )
                self._servers.append(server)

    def close(self) -> None:
        """Take no new connection. Idle ones end now, busy ones after their answer."""
        for server in self._servers:
            server.close()
        for doorman in self._doormen:
            doorman.close()
        if self.address.path:
            with contextlib.suppress(FileNotFoundError):
                Path(self.address.path).unlink()
        self._reception.retire()

    async def drained(self) -> None:
        """Returns when the last connection is over; call ``close`` before."""
        await self._reception.drained()

    def abort(self) -> None:
        """End all connections at once."""
        self._reception.abort()

    def _connection(self) -> Connection:
        return Connection(self._reception)


async def open_listener(
    address: Address,
    application: Application,
    refuse: Refuse,
    limits: Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> Listener:
    """A listener that accepts connections and gives their requests to ``application``.

    ``refuse`` spells the answer to what the protocol itself refuses, for every ``Why``. Raises
    OSError, naming the address, if it cannot be bound.
    """
    limits = limits or Limits()
    if address.tls and ssl_context is None:
        raise ValueError(f"{address} needs a certificate: no TLS context was given")
    sockets = [_unix_socket(address, limits)] if address.path else await _sockets(address, limits)
    listener = Listener(address, Reception(application, limits, refuse), sockets)
    await listener.open(ssl_context)
    return listener


async def _sockets(address: Address, limits: Limits) -> list[socket.socket]:
    """One listening socket per address the host name stands for, all on the same port."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise _failed(address, error) from error
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as undo:
        for family, kind, protocol, _, place in dict.fromkeys(found):
            sock = _socket(family, kind, protocol)
            if sock is None:
                continue
            undo.callback(sock.close)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            port = sockets[0].getsockname()[1] if sockets else address.port
            try:
                sock.bind((place[0], port, *place[2:]))
                sock.listen(limits.backlog)
            except OSError as error:
                if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL:
                    missing = error  # the name has an IPv6 address, this machine does not
                    continue
                raise _failed(address, error) from error
            sockets.append(sock)
        if not sockets:
            raise _failed(address, missing or OSError(errno.EADDRNOTAVAIL, "no such address"))
        undo.pop_all()
    return sockets


def _socket(family: int, kind: int, protocol: int) -> socket.socket | None:
    """A new socket, or None if this machine does not speak that family."""
    try:
        return socket.socket(family, kind, protocol)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise


def _unix_socket(address: Address, limits: Limits) -> socket.socket:
    """A listening unix socket. A socket file that nobody listens on any more is replaced."""
    path = Path(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.setblocking(False)
        sock.bind(address.path)
        path.chmod(_SOCKET_MODE)
        sock.listen(limits.backlog)
    except OSError as error:
        sock.close()
        raise _failed(address, error) from error
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a server that has ended. Raises OSError if one still listens."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # binding will say that the file exists
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, "another server listens on it")


def _failed(address: Address, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    return OSError(error.errno, f"Failed to bind to address: {address} ({reason})")
