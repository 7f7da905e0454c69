"""Which addresses a download may connect to."""

import pytest

from flambeau.archive.addresses import AddressPolicy, AddressRefused

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
]


def allowed(policy, address):
    try:
        policy.check(address)
    except AddressRefused:
        return False
    return True


@pytest.mark.parametrize("address", LOOPBACK + PUBLIC)
def test_as_shipped_loopback_and_public_addresses_pass(address):
    assert allowed(AddressPolicy(), address)


@pytest.mark.parametrize("address", [*PRIVATE, "64:ff9b::a00:1", "2002:a00:1::"])
def test_private_addresses_pass_only_when_asked_for(address):
    assert not allowed(AddressPolicy(), address)
    assert allowed(AddressPolicy(private=True), address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_can_be_closed(address):
    assert not allowed(AddressPolicy(loopback=False, private=True), address)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_multicast_and_unspecified_never_pass(address):
    assert not allowed(AddressPolicy(loopback=True, private=True), address)
