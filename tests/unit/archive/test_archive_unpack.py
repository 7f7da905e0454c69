"""Unpacking: what comes out of good archives, and that nothing comes out of bad ones."""

import contextlib
import gzip
import io
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
from archive_bytes import tar_bytes, tree, zip_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.archive.members import ArchiveLimits
from flambeau.archive.unpack import unpack
from flambeau.errors import ArchiveUnreadable, FlambeauError, InvalidModel


def put(yard, name, content):
    path = yard / "in" / name
    path.write_bytes(content)
    return path


def refuse(yard, name, content, cause, limits=None):
    """Assert that the archive is refused for ``cause`` and leaves no trace."""
    archive = put(yard, name, content)
    before = tree(yard)
    with pytest.raises(ArchiveUnreadable, match=cause) as caught:
        unpack(archive, yard / "out", limits or ArchiveLimits())
    assert str(caught.value).startswith(f"Failed to save model: {name}: ")
    assert tree(yard) == before


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_comes_out_as_it_went_in(yard, method):
    archive = put(
        yard, "m.mar", zip_bytes([("h.py", b"x"), ("d/e/", b""), ("d/f/g", b"y" * 3000000)], method)
    )
    unpack(archive, yard / "out", ArchiveLimits())
    assert tree(yard / "out") == ["d", "d/e", "d/f", "d/f/g", "h.py"]
    assert (yard / "out/d/f/g").read_bytes() == b"y" * 3000000


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["m/h.py", "m/d/x"], ["d", "d/x", "h.py"]),
        (["./h.py", "./MAR-INF/MANIFEST.json"], ["MAR-INF", "MAR-INF/MANIFEST.json", "h.py"]),
        (["./m/h.py"], ["m", "m/h.py"]),
        (["h.py"], ["h.py"]),
        (["a/h.py", "b/k.py"], ["h.py", "k.py"]),
    ],
)
def test_a_tar_loses_the_first_component_of_every_name(yard, names, expected):
    archive = put(yard, "m.tar.gz", tar_bytes([(name, b"x") for name in names]))
    unpack(archive, yard / "out", ArchiveLimits())
    assert tree(yard / "out") == expected


def test_folders_of_a_tar_come_out_even_if_empty(yard):
    top, inner = tarfile.TarInfo("m"), tarfile.TarInfo("m/empty")
    top.type = inner.type = tarfile.DIRTYPE
    archive = put(yard, "m.tgz", tar_bytes([(top, None), (inner, None), ("m/h.py", b"x")]))
    unpack(archive, yard / "out", ArchiveLimits())
    assert tree(yard / "out") == ["empty", "h.py"]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_a_tar_are_kept(yard, tar_format):
    name = "m/" + "/".join(["d" * 90] * 5) + "/ü.txt"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tar_format) as packed:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        packed.addfile(entry, io.BytesIO(b"x"))
    unpack(put(yard, "m.tar.gz", out.getvalue()), yard / "out", ArchiveLimits())
    assert (yard / "out" / name[2:]).read_bytes() == b"x"


@pytest.mark.parametrize(
    "name", ["../../slipped.txt", "/slipped.txt", "a/../../slipped", "..\\slipped", "C:\\slipped"]
)
def test_a_zip_cannot_slip_out(yard, name):
    refuse(yard, "z.mar", zip_bytes([("h.py", b"x"), (name, b"x")]), "member '.*slipped")


@pytest.mark.parametrize(
    "name", ["../slipped", "m/../../slipped", "/m/slipped", "m/a\\slipped", "C:/slipped"]
)
def test_a_tar_cannot_slip_out(yard, name):
    refuse(yard, "z.tar.gz", tar_bytes([("m/h.py", b"x"), (name, b"x")]), "member '.*slipped")


def test_a_nul_in_a_zip_name_is_refused(yard):
    content = zip_bytes([("harmlessXname.py", b"x")]).replace(b"harmlessX", b"harmless\0")
    refuse(yard, "z.mar", content, "control character")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "neither a file"), (stat.S_IFIFO, "neither a file")],
)
def test_links_and_devices_in_a_zip_are_refused(yard, kind, cause):
    entry = zipfile.ZipInfo("evil")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    refuse(yard, "z.mar", zip_bytes([("h.py", b"x"), (entry, "/etc/passwd")]), cause)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "neither"),
        (tarfile.BLKTYPE, "neither"),
        (tarfile.FIFOTYPE, "neither"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(yard, kind, cause):
    entry = tarfile.TarInfo("m/evil")
    entry.type = kind
    entry.linkname = "/etc/passwd"
    refuse(yard, "z.tar.gz", tar_bytes([("m/h.py", b"x"), (entry, None)]), cause)


def test_writing_through_a_link_of_the_same_tar_is_refused(yard):
    link = tarfile.TarInfo("m/d")
    link.type = tarfile.SYMTYPE
    link.linkname = str(yard)
    refuse(yard, "z.tar.gz", tar_bytes([(link, None), ("m/d/slipped", b"x")]), "a link")


def test_a_sparse_tar_member_is_refused(yard):
    entry = tarfile.TarInfo("m/sparse")
    entry.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(1 << 50),
        "GNU.sparse.numblocks": "0",
        "GNU.sparse.map": "0,1",
    }
    refuse(yard, "z.tar.gz", tar_bytes([(entry, b"x")]), "neither a plain file")


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [("a", "a", "twice"), ("a.py", "A.PY", "only in case"), ("a", "a/b", "a file and a folder")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_clashing_names_are_refused_in_both_kinds(yard, first, second, cause):
    refuse(yard, "z.mar", zip_bytes([(first, b"1"), (second, b"2")]), cause)
    members = [(f"m/{first}", b"1"), (f"m/{second}", b"2")]
    refuse(yard, "z.tar.gz", tar_bytes(members), cause)


def test_names_made_equal_by_dropping_the_top_folder_are_refused(yard):
    refuse(yard, "z.tar.gz", tar_bytes([("a/h.py", b"1"), ("b/h.py", b"2")]), "twice")


def test_a_zip_with_too_many_members_is_refused_before_anything_is_written(yard):
    content = zip_bytes([(f"f{n}", b"") for n in range(11)])
    refuse(yard, "z.mar", content, "more than 10 members", ArchiveLimits(members=10))


def test_a_tar_with_too_many_members_is_refused(yard):
    content = tar_bytes([(f"m/f{n}", b"") for n in range(11)])
    refuse(yard, "z.tar.gz", content, "more than 10 members", ArchiveLimits(members=10))


def test_a_zip_that_grows_too_much_is_refused(yard):
    content = zip_bytes([("zeros", bytes(3_000_000))])
    limits = ArchiveLimits(ratio=100, ratio_floor=1_000_000)
    refuse(yard, "z.mar", content, "more than 100 times its size", limits)


def test_a_tar_that_grows_too_much_is_refused(yard):
    content = tar_bytes([("m/zeros", bytes(3_000_000))])
    limits = ArchiveLimits(ratio=100, ratio_floor=1_000_000)
    refuse(yard, "z.tar.gz", content, "more than 100 times its size", limits)


@pytest.mark.parametrize("name", ["z.mar", "z.tar.gz"])
def test_an_archive_that_is_too_large_in_all_is_refused(yard, name):
    make = zip_bytes if name.endswith("mar") else tar_bytes
    content = make([("m/a", b"x" * 60_000), ("m/b", b"x" * 60_000)])
    refuse(yard, name, content, "more than 100000 bytes", ArchiveLimits(total_bytes=100_000))


def test_what_follows_the_end_of_a_tar_counts_too(yard):
    content = gzip.compress(tar_bytes([("m/h.py", b"x")], "w") + bytes(5_000_000))
    limits = ArchiveLimits(total_bytes=1_000_000)
    refuse(yard, "z.tar.gz", content, "more than 1000000 bytes", limits)


def test_a_tar_header_that_claims_gigabytes_does_not_take_memory(yard):
    entry = tarfile.TarInfo("m/x")
    entry.type, entry.size = tarfile.XHDTYPE, 4 << 30
    content = gzip.compress(entry.tobuf() + bytes(64 << 20))
    tracemalloc.start()
    try:
        refuse(yard, "z.tar.gz", content, "header in it is larger")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_zip_directory_larger_than_members_can_need_is_not_read(yard):
    entry = zipfile.ZipInfo("a")
    entry.comment = b"c" * 60000
    members = [(entry, b"")]
    for n in range(40):
        more = zipfile.ZipInfo(f"f{n}")
        more.comment = b"c" * 60000
        members.append((more, b""))
    limits = ArchiveLimits(members=100)
    refuse(yard, "z.mar", zip_bytes(members), "header in it is larger", limits)


def test_a_chain_of_tar_headers_ends_in_an_error(yard):
    entry = tarfile.TarInfo("m/x")
    entry.type, entry.size = tarfile.XGLTYPE, 0
    refuse(yard, "z.tar.gz", gzip.compress(entry.tobuf() * 20000), ".")


def test_large_members_stream(yard):
    archive = put(yard, "m.tar.gz", tar_bytes([("m/a", bytes(40 << 20))]))
    other = put(yard, "m.mar", zip_bytes([("a", bytes(40 << 20))]))
    tracemalloc.start()
    try:
        unpack(archive, yard / "out", ArchiveLimits())
        unpack(other, yard / "out2", ArchiveLimits())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"plain text\n", b"PK\x05"])
def test_a_mar_that_is_no_zip_is_the_clients_mistake(yard, content):
    archive = put(yard, "t.mar", content)
    with pytest.raises(InvalidModel, match=r"Failed to save model: t.mar: it is not a zip file"):
        unpack(archive, yard / "out", ArchiveLimits())
    assert not (yard / "out").exists()


@pytest.mark.parametrize("content", [b"", b"not gzip\n", zip_bytes([("a", b"x")])])
def test_a_tar_that_is_no_gzip_is_refused(yard, content):
    refuse(yard, "t.tar.gz", content, "gzip|empty")


def test_gzip_that_holds_no_tar_is_refused(yard):
    refuse(yard, "t.tar.gz", gzip.compress(b"hello" * 1000), "header")


def test_a_truncated_zip_is_refused(yard):
    content = zip_bytes([("a", b"x" * 1000), ("b", b"y" * 1000)])
    refuse(yard, "t.mar", content[:60], ".")
    refuse(yard, "t.mar", content[:-30], ".")


def test_every_truncation_of_a_tar_is_refused(yard):
    content = tar_bytes([("m/a", bytes(range(256)) * 40), ("m/b", b"y" * 100)])
    for cut in range(0, len(content), 7):
        refuse(yard, "t.tar.gz", content[:cut], ".")


def test_a_tar_cut_before_compression_is_refused(yard):
    plain = tar_bytes([("m/a", b"x" * 2000), ("m/b", b"y" * 2000)], "w")
    refuse(yard, "t.tar.gz", gzip.compress(plain[:1000]), ".")
    refuse(yard, "t.tar.gz", gzip.compress(plain[: 512 + 2048 + 100]), ".")


def test_garbage_where_a_tar_header_should_be_is_refused(yard):
    plain = tar_bytes([("m/a", b"x" * 512)], "w")
    refuse(yard, "t.tar.gz", gzip.compress(plain[:1024] + b"garbage!" * 64), "no header")


def test_a_tar_without_an_end_mark_is_taken(yard):
    plain = tar_bytes([("m/a", b"x" * 512)], "w")[:1024]
    unpack(put(yard, "t.tar.gz", gzip.compress(plain)), yard / "out", ArchiveLimits())
    assert tree(yard / "out") == ["a"]


def test_a_wrong_checksum_is_refused(yard):
    content = zip_bytes([("a", b"needle" * 10)], zipfile.ZIP_STORED)
    refuse(yard, "t.mar", content.replace(b"needleneedle", b"NEEDLEneedle", 1), "CRC")
    packed = bytearray(tar_bytes([("m/a", b"x")]))
    packed[-8:-4] = struct.pack("<I", zlib.crc32(b"other"))
    refuse(yard, "t.tar.gz", bytes(packed), "CRC")


def test_an_encrypted_zip_member_is_refused(yard):
    content = bytearray(zip_bytes([("a", b"x")]))
    content[6] |= 1
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    refuse(yard, "t.mar", bytes(content), "encrypted")


def test_a_zip_packed_by_another_method_is_refused(yard):
    refuse(yard, "t.mar", zip_bytes([("a", b"x")], zipfile.ZIP_LZMA), "other than deflate")


def test_a_folder_that_is_there_already_is_not_touched(yard):
    (yard / "out").mkdir()
    (yard / "out/keep").write_text("x")
    with pytest.raises(ArchiveUnreadable, match="exists"):
        unpack(put(yard, "m.mar", zip_bytes([("a", b"x")])), yard / "out", ArchiveLimits())
    assert tree(yard / "out") == ["keep"]


def test_permissions_of_the_archive_are_not_restored(yard):
    entry = tarfile.TarInfo("m/tool")
    entry.mode = 0o4777
    unpack(put(yard, "m.tar.gz", tar_bytes([(entry, b"x")])), yard / "out", ArchiveLimits())
    assert stat.S_IMODE((yard / "out/tool").stat().st_mode) & 0o7111 == 0


PIECES = st.sampled_from(
    ["..", ".", "", "a", "A", "b", "..a", "a\\..", "C:", "\x00", "é", "e\u0301", "x" * 300, "\n"]
)
NAMES = st.lists(PIECES, min_size=1, max_size=4).map("/".join) | st.text(max_size=12)
QUIET = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def nothing_outside(yard, archive):
    """Unpack if it can be; in any case assert that only ``out`` changed."""
    before = tree(yard)
    out = yard / "out"
    try:
        unpack(archive, out, ArchiveLimits(members=50, total_bytes=1 << 20))
        entries = list(out.rglob("*"))
        assert all(path.resolve().is_relative_to(out.resolve()) for path in entries)
        assert not any(path.is_symlink() for path in entries)
    except FlambeauError:
        assert not out.exists()
    finally:
        shutil.rmtree(out, ignore_errors=True)
    assert tree(yard) == before


@QUIET
@given(names=st.lists(NAMES, max_size=5))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_zip_writes_outside(yard, names):
    members = []
    for number, name in enumerate(names):
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name  # past the cleaning the constructor does
        with contextlib.suppress(UnicodeEncodeError):
            name.encode()
            members.append((entry, str(number)))
    nothing_outside(yard, put(yard, "f.mar", zip_bytes(members)))


@QUIET
@given(
    members=st.lists(
        st.tuples(NAMES, st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])),
        max_size=5,
    )
)
def test_no_tar_writes_outside(yard, members):
    made = []
    for name, kind in members:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/tmp"
        with contextlib.suppress(UnicodeEncodeError):
            name.encode()
            made.append((entry, b"x" if kind == tarfile.REGTYPE else None))
    nothing_outside(yard, put(yard, "f.tar.gz", tar_bytes(made)))


@QUIET
@given(data=st.data(), kind=st.sampled_from(["f.mar", "f.tar.gz"]))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_archives_end_in_our_errors(yard, data, kind):
    files = [("m/a", bytes(range(200))), ("m/d/b", b"y" * 90), ("m/c", b"")]
    good = zip_bytes(files) if kind == "f.mar" else tar_bytes(files, "w")
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content) if kind == "f.mar" else gzip.compress(bytes(content))
    nothing_outside(yard, put(yard, kind, damaged))
