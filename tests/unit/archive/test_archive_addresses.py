"""Which addresses a download may connect to."""

import pytest

from flambeau.archive.addresses import AddressPolicy, AddressRefused, names_this_machine

LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
PRIVATE = ["10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.1"]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "64:ff9b:1::a9fe:a9fe",
]


def allowed(policy, address):
    try:
        policy.check(address)
    except AddressRefused:
        return False
    return True


@pytest.mark.parametrize("address", LOOPBACK + PUBLIC)
def test_public_addresses_pass_and_loopback_where_it_was_named(address):
    assert allowed(AddressPolicy(loopback=True), address)
    assert allowed(AddressPolicy(), address) == (address in PUBLIC)


@pytest.mark.parametrize("address", [*PRIVATE, "64:ff9b::a00:1", "2002:a00:1::"])
def test_private_addresses_pass_only_when_asked_for(address):
    assert not allowed(AddressPolicy(), address)
    assert allowed(AddressPolicy(private=True), address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_not_among_the_private_addresses(address):
    assert not allowed(AddressPolicy(private=True), address)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_multicast_and_unspecified_never_pass(address):
    assert not allowed(AddressPolicy(loopback=True, private=True), address)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"),
        *("127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_a_url_may_say_in_many_ways_that_it_means_this_machine(host):
    assert names_this_machine(f"http://{host}:80/m.mar")
    assert names_this_machine(f"http://user:pass@{host}/m.mar")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/m.mar",
        "http://127.0.0.1@example.org/m.mar",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "http://10.0.0.1/#127.0.0.1",
        "http://169.254.169.254/localhost",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::1/m.mar",
        "http:///m.mar",
        "file:///m.mar",
    ],
)
def test_other_urls_do_not(url):
    assert not names_this_machine(url)
