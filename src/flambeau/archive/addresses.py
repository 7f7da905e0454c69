"""Which network addresses a download may connect to, checked on the address connected to.

Used by ``archive.download``. A name is resolved here and the connection goes to an address that
passed, so that a name cannot be one thing when checked and another when used.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

NAT64 = ip_network("64:ff9b::/96")
COMPATIBLE = ip_network("::/96")
NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "fe80::/10",
        # Services that hand out a machine's credentials, outside the link-local networks.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        # Translation to IPv4 by the rules of the network at hand: it could lead to any of these.
        "64:ff9b:1::/48",
        "fd00:ec2::254/128",
    )
)


class AddressRefused(Exception):  # noqa: N818 -- it reads as the sentence it is
    """The policy forbids the address; the text says which and why."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which kinds of address may be connected to; public ones always may.

    Link-local, metadata, multicast and unspecified addresses never may.
    """

    loopback: bool = False
    private: bool = False

    def check(self, address: str) -> None:
        """Raise AddressRefused unless ``address`` (numeric) may be connected to."""
        given = ip_address(address.partition("%")[0])
        ip = _embedded(given)
        if ip.is_multicast or ip.is_unspecified or any(ip in network for network in NEVER):
            raise AddressRefused(f"the address {address} is never connected to")
        if ip.is_loopback:
            if not self.loopback:
                raise AddressRefused(
                    f"the address {address} is this machine; only a URL that says so and that "
                    "allowed_urls lists may lead there"
                )
        elif not ip.is_global and not self.private:
            raise AddressRefused(
                f"the address {address} is not public; list its URL in allowed_urls to allow it"
            )


def names_this_machine(url: str) -> bool:
    """Whether the host in ``url`` says that it is this machine: localhost, or such an address."""
    try:
        host = (parse_url(url).host or "").strip("[]").partition("%")[0].lower()
    except LocationParseError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return _embedded(ip_address(host)).is_loopback
    except ValueError:
        pass
    try:  # decimal, octal, hexadecimal and short forms, as the resolver reads them
        return ip_address(socket.inet_aton(host)).is_loopback
    except (OSError, UnicodeEncodeError):
        return False


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address an IPv6 address leads to, where it does."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in NAT64 or (ip in COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _connect(connection: HTTPConnection, policy: AddressPolicy) -> socket.socket:
    """A connection to the first address of the host that passes and answers."""
    found = socket.getaddrinfo(
        connection.host.strip("[]"), connection.port, type=socket.SOCK_STREAM
    )
    failure: OSError | AddressRefused | None = None
    for _, _, _, _, address in found:
        numeric = str(address[0])
        try:
            policy.check(numeric)
            timeout = connection.timeout
            return socket.create_connection(
                (numeric, connection.port),
                timeout if isinstance(timeout, int | float) else None,
            )
        except (OSError, AddressRefused) as error:
            failure = failure or error
    raise failure or OSError(f"no address for {connection.host}")


class CheckedAdapter(HTTPAdapter):
    """Makes every connection of a ``requests`` session obey an AddressPolicy."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        super().__init__(max_retries=0)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 -- signature of requests
        **kwargs: Any,
    ) -> None:
        """Build the pools requests will use."""
        policy = self._policy

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, policy)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, policy)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, **kwargs
        )
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
