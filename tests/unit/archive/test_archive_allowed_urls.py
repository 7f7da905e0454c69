"""The setting allowed_urls."""

import pytest

from flambeau.archive.allowed_urls import LONGEST_URL, AllowedUrls


def test_as_shipped_every_http_and_file_url_is_allowed():
    urls = AllowedUrls.parse()
    assert not urls.explicit
    for url in ("http://a/b.mar", "HTTPS://a/b.mar", "file:///a/b.mar", "http://127.0.0.1:1/x"):
        assert urls.allows(url)
    for url in ("ftp://a/b.mar", "s3://a/b.mar", "file:/a/b.mar", "x.mar", " http://a"):
        assert not urls.allows(url)


def test_a_pattern_must_match_the_whole_url():
    urls = AllowedUrls.parse("http://127.0.0.1:[0-9]+/allowed/.*")
    assert urls.explicit
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
