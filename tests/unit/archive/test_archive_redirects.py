"""Where downloads are led: redirects, names that change their minds, addresses in disguise."""

import socket
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import pytest
from archive_bytes import tree

from flambeau.archive import addresses
from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.download import Downloader
from flambeau.archive.transfer import DownloadLimits
from flambeau.errors import DownloadFailed

FAST = DownloadLimits(connect_seconds=2, read_seconds=0.3, pause_seconds=0.01)
LISTED = r"http://models\.example(:\d+)?/.*,http://.*"
PUBLIC = "93.184.215.14"


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def downloader(store, urls=None):
    return Downloader(store, AllowedUrls.parse(urls) if urls else AllowedUrls.parse(), FAST)


def refused(store, url, cause, urls=None):
    with pytest.raises(DownloadFailed) as caught:
        downloader(store, urls).fetch(url, store / "m.mar")
    text = str(caught.value)
    assert text.startswith(f"Failed to download archive from: {url}: ")
    assert cause in text
    assert tree(store) == []


def to(base, target):
    return f"{base}/to/{quote(target, safe='')}"


@dataclass
class Net:
    """Names and their answers in turn, and public addresses with the local port behind each."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    routes: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)


@pytest.fixture
def net(monkeypatch):
    """A resolver and a route of our own, for names and addresses that are not on this machine."""
    made, resolve, connect = Net(), socket.getaddrinfo, socket.create_connection

    def lookup(host, port, *args, **options):
        if host not in made.names:
            return resolve(host, port, *args, **options)
        made.asked.append(host)
        answers = made.names[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        kinds = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in found]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (each, port))
            for kind, each in zip(kinds, found, strict=True)
        ]

    def route(address, *args, **options):
        made.connected.append(address[0])
        if address[0] in made.routes:
            address = ("127.0.0.1", made.routes[address[0]])
        return connect(address, *args, **options)

    monkeypatch.setattr(addresses.socket, "getaddrinfo", lookup)
    monkeypatch.setattr(addresses.socket, "create_connection", route)
    return made


@pytest.fixture
def elsewhere(net, remote):
    """The server on loopback, as if it were at a public address behind a name."""
    net.names["models.example"] = [[PUBLIC]]
    net.routes[PUBLIC] = urlsplit(remote.base).port
    return "http://models.example"


def test_redirects_are_followed(store, remote):
    url = to(remote.base, "/to//m.mar")
    downloader(store).fetch(url, store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content
    assert len(remote.seen) == 3


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("file:///etc/passwd", "no http or https URL"),
        ("ftp://127.0.0.1/x", "no http or https URL"),
        ("s3://models/m.mar", "no http or https URL"),
        ("http://elsewhere.invalid/x?secret=1", "does not match any allowed URL(s)"),
    ],
)
def test_a_redirect_is_held_to_the_rules_of_the_first_url(store, remote, target, cause):
    refused(store, to(remote.base, target), cause, urls=r"http://127\.0\.0\.1:.*,s3://.*")
    assert len(remote.seen) == 1


def test_every_further_redirect_is_held_to_them_too(store, remote):
    url = to(remote.base, f"/to/{quote('http://elsewhere.invalid/x', safe='')}")
    refused(store, url, "does not match any allowed URL(s)", urls=r"http://127\.0\.0\.1:.*")
    assert len(remote.seen) == 2


def test_endless_redirects_end(store, remote):
    refused(store, f"{remote.base}/loop/0", "more than 5 times")
    assert len(remote.seen) == 6


def test_the_body_of_a_redirect_is_not_read(store, remote):
    downloader(store).fetch(f"{remote.base}/endlessto/x", store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content


def test_a_redirect_to_nowhere_ends(store, remote):
    refused(store, f"{remote.base}/nowhere/x", "more than 5 times")


METADATA = [
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0xa9.254.169.254", "0251.0376.0251.0376"),
    *("169.254.43518", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]"),
    *("[2002:a9fe:a9fe::1]", "[fd00:ec2::254]", "100.100.100.200", "[fe80::1]", "0.0.0.0", "[::]"),
    *("0", "0x0"),
]


@pytest.mark.parametrize("host", METADATA)
def test_a_metadata_address_is_never_connected_to_however_it_is_written(store, net, host):
    for urls in (None, ".*", f"http://{host.replace('[', '.').replace(']', '.')}/.*"):
        refused(store, f"http://{host}/latest/m.mar", "never connected to", urls)
    assert net.connected == []


@pytest.mark.parametrize("host", METADATA)
def test_no_redirect_leads_to_a_metadata_address(store, remote, net, host):
    refused(store, to(remote.base, f"http://{host}/latest/m.mar"), "never connected to")
    assert net.connected == ["127.0.0.1"]


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1", "0x0a000001", "[fc00::1]", "100.64.0.1"]
)
def test_a_private_address_is_refused_unless_its_url_is_listed(store, net, remote, host):
    url = f"http://{host}/m.mar"
    for urls in (None, ".*", "http://.*/m.mar", r"http://good\.example.*"):
        if urls is None or AllowedUrls.parse(urls).allows(url):
            refused(store, url, "is not public", urls)
    assert net.connected == []


def test_a_listed_private_address_is_read(store, net, remote):
    net.routes["10.0.0.1"] = urlsplit(remote.base).port
    downloader(store, r"http://10\.0\.0\.1/.*").fetch("http://10.0.0.1/m.mar", store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content


def test_a_listed_name_may_be_private(store, net, remote):
    net.names["models.example"] = [["10.0.0.1"]]
    net.routes["10.0.0.1"] = urlsplit(remote.base).port
    url = "http://models.example/m.mar"
    refused(store, url, "is not public")
    downloader(store, LISTED).fetch(url, store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content


@pytest.mark.parametrize("urls", [None, LISTED])
@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("127.0.0.1", "is this machine"),
        ("::1", "is this machine"),
        ("::ffff:127.0.0.1", "is this machine"),
        ("169.254.169.254", "never connected to"),
        ("::ffff:169.254.169.254", "never connected to"),
    ],
)
def test_a_name_is_judged_by_the_address_it_leads_to(store, net, remote, urls, address, cause):
    net.names["models.example"] = [[address]]
    net.routes[address] = urlsplit(remote.base).port
    refused(store, "http://models.example/m.mar", cause, urls)
    assert net.connected == []


@pytest.mark.parametrize("later", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_name_is_resolved_once_and_connected_to_as_it_was_judged(store, net, elsewhere, later):
    net.names["models.example"] = [[PUBLIC], [later]]
    downloader(store).fetch(f"{elsewhere}/m.mar", store / "m.mar")
    assert net.asked == ["models.example"]
    assert net.connected == [PUBLIC]


@pytest.mark.parametrize(
    ("later", "cause"),
    [
        ("127.0.0.1", "is this machine"),
        ("169.254.169.254", "never connected to"),
        ("10.0.0.1", "is not public"),
    ],
)
def test_a_name_that_changes_its_mind_between_redirects_is_judged_anew(
    store, net, elsewhere, later, cause
):
    net.names["models.example"] = [[PUBLIC], [later]]
    refused(store, to(elsewhere, "http://models.example/m.mar"), cause)
    assert net.connected == [PUBLIC]


def test_an_answer_with_good_and_bad_addresses_reaches_only_the_good(store, net, elsewhere):
    net.names["models.example"] = [["169.254.169.254", "127.0.0.1", PUBLIC]]
    downloader(store).fetch(f"{elsewhere}/m.mar", store / "m.mar")
    assert net.connected == [PUBLIC]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_nobody_elsewhere_leads_back_to_this_machine(store, net, remote, elsewhere, host):
    inner = remote.base.replace("127.0.0.1", host) + "/m.mar"
    refused(store, to(elsewhere, inner), "is this machine")
    refused(store, to(remote.base, to(elsewhere, inner)), "is this machine")
    assert "/m.mar" not in remote.seen


def test_unless_it_is_listed(store, remote, elsewhere):
    urls = rf"http://models\.example/.*,{remote.base}/m\.mar"
    downloader(store, urls).fetch(to(elsewhere, f"{remote.base}/m.mar"), store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content


@pytest.mark.parametrize(
    "spelling", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"]
)
def test_this_machine_is_reached_by_a_url_that_says_so(store, remote, spelling):
    url = remote.base.replace("127.0.0.1", spelling) + "/m.mar"
    downloader(store).fetch(to(remote.base, url), store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content


def test_credentials_of_a_url_stay_with_its_host(store, remote, elsewhere):
    base = remote.base.replace("//", "//user:pass@")
    downloader(store).fetch(to(base, f"{elsewhere}/m.mar"), store / "m.mar")
    assert not any("Authorization" in headers for headers in remote.headers[1:])
