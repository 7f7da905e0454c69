"""The setting allowed_urls."""

import pytest

from flambeau.archive.allowed_urls import LONGEST_URL, AllowedUrls


def test_as_shipped_every_http_and_file_url_is_allowed():
    urls = AllowedUrls.parse()
    for url in ("http://a/b.mar", "HTTPS://a/b.mar", "file:///a/b.mar", "http://127.0.0.1:1/x"):
        assert urls.allows(url)
    for url in ("ftp://a/b.mar", "s3://a/b.mar", "file:/a/b.mar", "x.mar", " http://a"):
        assert not urls.allows(url)


def test_a_pattern_must_match_the_whole_url():
    urls = AllowedUrls.parse("http://127.0.0.1:[0-9]+/allowed/.*")
    assert urls.allows("http://127.0.0.1:99/allowed/a.mar")
    assert not urls.allows("http://127.0.0.1:99/allowed")
    assert not urls.allows("http://evil/?http://127.0.0.1:99/allowed/a.mar")
    assert not urls.allows("http://127.0.0.1:99/allowed/a.mar\nx")


def test_any_pattern_of_the_list_will_do_and_blanks_around_commas_do_not_count():
    urls = AllowedUrls.parse(" http://a/.* , http://b/.*,")
    assert urls.allows("http://b/x")
    assert urls.allows("HTTP://A/x")
    assert len(urls.patterns) == 2


def test_commas_inside_brackets_belong_to_the_pattern():
    urls = AllowedUrls.parse(r"http://a{1,3}/[x,y](p,q)?\(,http://b/\[.*")
    assert urls.allows("http://aaa/,(")
    assert urls.allows("http://b/[x")
    assert not urls.allows("http://aaaa/x(")


def test_a_pattern_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"allowed_urls: 'http://\[' is not a regular expression"):
        AllowedUrls.parse("http://[")


def test_a_very_long_url_is_never_allowed():
    assert not AllowedUrls.parse().allows("http://a/" + "x" * LONGEST_URL)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        (r"https://models\.example\.org/.*", "https://models.example.org/a.mar"),
        (r"https?://.*\.example\.org(:\d+)?/.*", "http://a.b.example.org:80/a.mar"),
        (r"http://10\..*", "http://10.0.0.1/a.mar"),
        (r"http://(a|b)/.*,http://.*", "http://b/x.mar"),
        (r"http://\[::1\]:9/.*", "http://[::1]:9/a.mar"),
        (r"HTTP://A/.*", "http://a/x.mar"),
    ],
)
def test_a_pattern_that_names_the_host_lists_it(pattern, url):
    assert AllowedUrls.parse(pattern).lists(url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("file://.*|http(s)?://.*", "http://10.0.0.1/a.mar"),
        ("http://.*", "http://10.0.0.1/a.mar"),
        ("http://[0-9.]+/.*", "http://10.0.0.1/a.mar"),
        (r"http://\[[0-9a-f:]+\]/.*", "http://[fc00::1]/a.mar"),
        ("http://[a-z0-9.]+/.*", "http://host/a.mar"),
        (".*/models/.*", "http://10.0.0.1/models/a.mar"),
        # What looks like the listed host stands elsewhere in the URL.
        (r"http://good\.example.*", "http://good.example@10.0.0.1/a.mar"),
        (r"https?://.*\.example\.org/.*", "http://10.0.0.1/x.example.org/a.mar"),
        (r"http://10\.0\.0\.1/.*", "http://10.0.0.2/a.mar"),
        (r"http://.*", "http://[::1/a.mar"),
    ],
)
def test_a_pattern_for_any_host_lists_none(pattern, url):
    assert not AllowedUrls.parse(pattern).lists(url)
