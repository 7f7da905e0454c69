"""The rules every member of an archive must meet."""

import pytest

from flambeau.archive.members import ArchiveLimits, MemberDoor, MemberRefused, split_name


def door(packed=1000, **limits):
    return MemberDoor(ArchiveLimits(**limits), packed)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a/..", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("c:x", "absolute"),
        ("a\\b", "backslash"),
        ("..\\x", "backslash"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("x" * 3000, "longer"),
        ("a\udcff", "no valid text"),
    ],
)
def test_names_that_are_not_plain_and_relative_are_refused(name, cause):
    with pytest.raises(MemberRefused, match=cause):
        split_name(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.py", ("a.py",)),
        ("a/b/c", ("a", "b", "c")),
        ("./a//b/", ("a", "b")),
        ("..a/b..", ("..a", "b..")),
        ("ü/日本", ("ü", "日本")),
    ],
)
def test_plain_names_are_split_into_their_components(name, parts):
    assert split_name(name) == parts


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ("a.py", "a.py", "twice"),
        ("a.py", "A.py", "differ only in case"),
        ("straße", "STRASSE", "differ only in case"),
        ("\u00e9.txt", "e\u0301.txt", "differ only in case"),
        ("Dir/a", "dir/b", "differ only in case"),
        ("a", "a/b", "file and a folder"),
        ("a/b", "a", "file and a folder"),
        ("A/b", "a", "file and a folder"),
    ],
)
def test_files_whose_names_clash_are_refused(first, second, cause):
    entrance = door()
    entrance.file(split_name(first))
    with pytest.raises(MemberRefused, match=cause):
        entrance.file(split_name(second))


def test_a_folder_may_be_named_again():
    entrance = door()
    entrance.folder(("a",))
    entrance.file(("a", "b"))
    entrance.folder(("a",))


def test_a_file_without_a_name_is_refused():
    with pytest.raises(MemberRefused, match="no name"):
        door().file(())


def test_more_members_than_allowed_are_refused():
    entrance = door(members=2)
    entrance.file(("a",))
    entrance.folder(("b",))
    with pytest.raises(MemberRefused, match="more than 2 members"):
        entrance.file(("c",))


def test_more_bytes_than_allowed_are_refused():
    entrance = door(total_bytes=100)
    entrance.size(100)
    with pytest.raises(MemberRefused, match="more than 100 bytes"):
        entrance.size(1)


def test_growth_counts_only_above_the_floor():
    entrance = door(packed=10, ratio=5, ratio_floor=1000)
    entrance.size(1000)
    with pytest.raises(MemberRefused, match="more than 5 times its size"):
        entrance.size(1)
