from __future__ import annotations

import pytest

from flambeau.errors import BadRequest
from flambeau.rest.payload import parts_of

MULTIPART = b"multipart/form-data; boundary=BOUND"


def values(parts):
    return [(p.name, p.content_type, b"".join(p.chunks)) for p in parts]


def form(*fields):
    body = b"".join(b"--BOUND\r\n" + head + b"\r\n\r\n" + value + b"\r\n" for head, value in fields)
    return body + b"--BOUND--\r\n"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (b"", ""),
        (b"application/json; charset=utf-8", "application/json"),
        (b"APPLICATION/JSON", "APPLICATION/JSON"),
        (b"image/jpeg", "image/jpeg"),
    ],
)
def test_any_other_body_is_one_input_with_its_bare_type(content_type, kind):
    assert parts_of(content_type, [b"a", b"b"]) == [("body", kind, [b"a", b"b"])]


def test_no_body_is_an_empty_input():
    assert values(parts_of(b"", [])) == [("body", "", b"")]


def test_an_urlencoded_form_gives_one_input_for_each_field():
    kind = b"application/X-WWW-form-urlencoded; charset=utf-8"
    assert values(parts_of(kind, [b"a=1&b=two+w", b"ords&c=%C3%BC&d&a=2"])) == [
        ("a", "", b"1"),
        ("b", "", b"two words"),
        ("c", "", b"\xc3\xbc"),
        ("d", "", b""),
        ("a", "", b"2"),
    ]


def test_an_empty_form_has_no_inputs():
    assert parts_of(b"application/x-www-form-urlencoded", []) == []


def test_a_file_keeps_its_type_and_a_field_has_none():
    body = form(
        (
            (
                b'Content-Disposition: form-data; name="d"; filename="a.txt"\r\n'
                b"Content-Type: text/plain; charset=utf-8"
            ),
            b"file",
        ),
        (b'Content-Disposition: form-data; name="f"\r\nContent-Type: text/plain', b"field"),
        (b'content-disposition: form-data; name="n"; filename="a"', b""),
    )
    assert values(parts_of(MULTIPART, [body])) == [
        ("d", "text/plain", b"file"),
        ("f", "", b"field"),
        ("n", "application/octet-stream", b""),
    ]


def test_a_form_cut_anywhere_reads_the_same():
    head = b'Content-Disposition: form-data; name="d"; filename="a"\r\nContent-Type: a/b'
    body = form((head, b"\r\n--BOUN\r\nx\r"), (head, b"2"))
    whole = values(parts_of(MULTIPART, [body]))
    assert [value for _, _, value in whole] == [b"\r\n--BOUN\r\nx\r", b"2"]
    for cut in range(1, len(body)):
        assert values(parts_of(MULTIPART, [body[:cut], body[cut:]])) == whole


@pytest.mark.parametrize("body", [b"this is not multipart", b"", b"--BOUND\r\nno colon\r\n\r\n"])
def test_a_broken_multipart_body_has_no_inputs(body):
    assert parts_of(MULTIPART, [body] if body else []) == []


def test_the_parts_that_are_whole_survive_a_missing_end():
    body = form((b'Content-Disposition: form-data; name="a"', b"1"))[:-10]
    body += b'\r\n--BOUND\r\nContent-Disposition: form-data; name="b"\r\n\r\n2'
    assert [name for name, _, _ in values(parts_of(MULTIPART, [body]))] == ["a"]


def test_multipart_without_a_boundary_is_one_input():
    assert values(parts_of(b"multipart/form-data", [b"x"])) == [
        ("body", "multipart/form-data", b"x")
    ]


def test_too_many_parts_are_refused():
    body = form(*[(b'Content-Disposition: form-data; name="a"', b"1")] * 1001)
    with pytest.raises(BadRequest, match="More than 1000 parts"):
        parts_of(MULTIPART, [body])
