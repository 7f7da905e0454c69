"""Packing model archives from Python."""

import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from archive_bytes import tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.archive.mar import ModelArchiverConfig, handler_file, manifest_text, pack
from flambeau.archive.members import ArchiveLimits
from flambeau.archive.packing import MissingFile, PackingError
from flambeau.archive.unpack import unpack


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder to work in, with the files of a model."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "h.py",
        "w.pt",
        "m.py",
        "r.txt",
        "c.yaml",
        "k.txt",
        "d/x.txt",
        "d/sub/y.txt",
        "d/.hidden",
        "d/.git/config",
        "d/sub/__pycache__/a.pyc",
        "d/__MACOSX/b",
        "lib.so",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    Path("out").mkdir()
    return tmp_path


def config(**changes):
    values = {"model_name": "m", "handler": "h.py", "version": "1.0", "export_path": "out"}
    return ModelArchiverConfig(**(values | changes))


def names(path):
    with zipfile.ZipFile(path) as packed:
        return sorted(packed.namelist())


FULL = {
    "serialized_file": "w.pt",
    "model_file": "m.py",
    "requirements_file": "r.txt",
    "config_file": "c.yaml",
    "extra_files": "k.txt, d",
}
FULL_FILES = ["c.yaml", "h.py", "k.txt", "m.py", "r.txt", "w.pt", ".hidden", "sub/y.txt", "x.txt"]


@pytest.mark.parametrize(
    ("archive_format", "name"),
    [("default", "m.mar"), ("zip-store", "m.mar"), ("tgz", "m.tar.gz")],
)
def test_what_is_packed_comes_out_again(work, archive_format, name):
    path = pack(config(archive_format=archive_format, **FULL))
    assert path == Path("out") / name
    unpack(path, work / "again", ArchiveLimits())
    files = [file for file in tree(work / "again") if (work / "again" / file).is_file()]
    assert files == sorted([*FULL_FILES, "MAR-INF/MANIFEST.json"])
    assert (work / "again/sub/y.txt").read_text() == "d/sub/y.txt"
    assert tree(work / "out") == [name]


def test_a_zip_is_deflated_or_stored_as_asked(work):
    for archive_format, method in (("default", zipfile.ZIP_DEFLATED), ("zip-store", 0)):
        path = pack(config(archive_format=archive_format, force=True))
        with zipfile.ZipFile(path) as packed:
            assert {entry.compress_type for entry in packed.infolist()} == {method}


def test_a_tar_has_everything_below_the_models_name(work):
    with tarfile.open(pack(config(archive_format="tgz"))) as packed:
        assert sorted(packed.getnames()) == ["m/MAR-INF/MANIFEST.json", "m/h.py"]


def test_a_link_in_a_tar_becomes_the_file_it_leads_to(work):
    os.link("k.txt", "d/hard.txt")
    Path("d/soft.txt").symlink_to(work / "k.txt")
    path = pack(config(archive_format="tgz", extra_files="k.txt,d"))
    unpack(path, work / "again", ArchiveLimits())
    assert (work / "again/hard.txt").read_text() == (work / "again/soft.txt").read_text() == "k.txt"


def test_no_archive_makes_a_folder(work):
    path = pack(config(archive_format="no-archive", **FULL))
    files = [file for file in tree(path) if (path / file).is_file()]
    assert files == sorted([*FULL_FILES, "MAR-INF/MANIFEST.json"])


def test_a_folder_is_replaced_whole_but_only_if_it_is_a_model(work):
    path = pack(config(archive_format="no-archive", extra_files="k.txt"))
    pack(config(archive_format="no-archive", force=True))
    assert "k.txt" not in tree(path)
    (work / "out/precious").mkdir()
    (work / "out/precious/work.txt").write_text("mine")
    with pytest.raises(PackingError, match="not a model archive folder"):
        pack(config(model_name="precious", archive_format="no-archive", force=True))
    assert tree(work / "out/precious") == ["work.txt"]


def test_the_manifest_names_base_names_and_leaves_out_what_is_not_given(work):
    os.renames("m.py", "deep/m.py")
    document = json.loads(manifest_text(config(handler="deep/h.py:f", model_file="deep/m.py")))
    assert list(document) == ["createdOn", "runtime", "model", "archiverVersion"]
    assert document["runtime"] == "python"
    assert document["archiverVersion"] == "0.12.0"
    assert document["model"] == {
        "modelName": "m",
        "handler": "h.py:f",
        "modelFile": "m.py",
        "modelVersion": "1.0",
    }
    full = json.loads(manifest_text(config(**FULL)))["model"]
    assert full["serializedFile"] == "w.pt"
    assert full["requirementsFile"] == "r.txt"
    assert full["configFile"] == "c.yaml"


@pytest.mark.parametrize(
    ("handler", "runtime", "file"),
    [
        ("image_classifier", "python", None),
        ("vllm_handler", "python3", None),
        ("h.py", "python", "h.py"),
        ("h", "python", "h.py"),
        ("h:f", "python", "h.py"),
        ("h.py:f", "python", "h.py"),
        ("a/b/h.py:f", "python", "a/b/h.py"),
        ("a.b/h", "python3", "a.b/h.py"),
        ("/abs/h:f", "python", "/abs/h.py"),
        ("BaseHandler", "LSP", None),
        ("TorchScriptHandler", "LSP", None),
        ("d/lib:Class", "LSP", "d/lib.so"),
        ("lib.so:Class", "LSP", "lib.so"),
    ],
)
def test_the_file_of_a_handler_is_found_in_every_spelling(monkeypatch, handler, runtime, file):
    monkeypatch.setattr("sys.platform", "linux")
    assert handler_file(handler, runtime) == file


def test_cpp_libraries_have_another_name_on_a_mac(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert handler_file("lib:Class", "LSP") == "lib.dylib"


def test_a_built_in_handler_ships_no_file(work):
    path = pack(config(handler="image_classifier", serialized_file="w.pt"))
    assert names(path) == ["MAR-INF/MANIFEST.json", "w.pt"]


@pytest.mark.parametrize("name", ["", "-m", ".m", "m/x", "m x", "ü", "m\n", "m:1"])
def test_a_name_that_could_not_be_served_is_refused(work, name):
    with pytest.raises(PackingError, match="is not allowed"):
        pack(config(model_name=name))
    assert tree(work / "out") == []


def test_an_archive_is_overwritten_only_when_asked(work, caplog):
    path = pack(config())
    with pytest.raises(PackingError, match=r"m\.mar already exists; give --force"):
        pack(config(handler="image_classifier"))
    assert "h.py" in names(path)
    pack(config(handler="image_classifier", force=True))
    assert "h.py" not in names(path)
    assert "Overwriting" in caplog.text


def test_a_failure_leaves_the_old_archive_and_nothing_else(work):
    path = pack(config())
    before = path.read_bytes()
    with pytest.raises(MissingFile):
        pack(config(extra_files="absent", force=True))
    assert path.read_bytes() == before
    assert tree(work / "out") == ["m.mar"]


def test_an_export_path_that_is_no_folder_is_refused(work):
    for folder in ("absent", "h.py"):
        with pytest.raises(PackingError, match=f"'{folder}' is not a directory"):
            pack(config(export_path=folder))


@pytest.mark.parametrize(
    "change",
    [
        {"handler": "absent.py"},
        {"handler": "absent:f"},
        {"serialized_file": "absent.pt"},
        {"model_file": "absent.py"},
        {"requirements_file": "absent.txt"},
        {"config_file": "absent.yaml"},
        {"extra_files": "k.txt,absent.txt"},
    ],
)
def test_a_missing_file_is_named(work, change):
    with pytest.raises(FileNotFoundError, match="File does not exist: absent") as caught:
        pack(config(**change))
    assert isinstance(caught.value, PackingError)
    assert tree(work / "out") == []


def test_a_folder_where_a_file_belongs_is_refused(work):
    with pytest.raises(PackingError, match="d is not a regular file"):
        pack(config(serialized_file="d"))


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("*.txt", ["k.txt", "r.txt"]),
        ("[km].txt", ["k.txt"]),
        ("?.yaml,k.txt", ["c.yaml", "k.txt"]),
        ("d/*", ["x.txt", "y.txt"]),
        ("d/sub", ["y.txt"]),
        ("d/sub/", ["y.txt"]),
        (" k.txt , , c.yaml", ["c.yaml", "k.txt"]),
    ],
)
def test_extra_files_are_files_folders_and_wildcards(work, listed, expected):
    found = names(pack(config(handler="base_handler", extra_files=listed)))
    assert found == ["MAR-INF/MANIFEST.json", *expected]


def test_a_file_whose_name_looks_like_a_wildcard_is_taken_as_it_is(work):
    Path("a[1].txt").write_text("x")
    assert "a[1].txt" in names(pack(config(extra_files="a[1].txt")))


def test_a_wildcard_without_matches_is_only_mentioned(work, caplog):
    assert names(pack(config(extra_files="nope*"))) == ["MAR-INF/MANIFEST.json", "h.py"]
    assert "nope*" in caplog.text


def test_the_later_of_two_files_of_one_name_wins_with_a_warning(work, caplog):
    Path("d/k.txt").write_text("other")
    path = pack(config(extra_files="k.txt,d"))
    with zipfile.ZipFile(path) as packed:
        assert packed.read("k.txt") == b"other"
    assert "d/k.txt replaces k.txt" in caplog.text


def test_the_same_file_named_twice_is_no_news(work, caplog):
    pack(config(extra_files="h.py,./h.py"))
    assert not caplog.records


def test_names_the_server_would_refuse_are_not_packed(work):
    Path("K.txt").write_text("x")
    with pytest.raises(PackingError, match="differ only in case"):
        pack(config(extra_files="k.txt,K.txt"))
    Path("back\\slash").write_text("x")
    with pytest.raises(PackingError, match="backslash"):
        pack(config(extra_files="back\\slash"))


def test_a_manifest_among_the_files_gives_way_to_the_new_one(work, caplog):
    Path("d/MAR-INF").mkdir()
    Path("d/MAR-INF/MANIFEST.json").write_text("{}")
    path = pack(config(extra_files="d"))
    assert names(path).count("MAR-INF/MANIFEST.json") == 1
    assert "left out" in caplog.text


def test_a_folder_that_holds_the_archive_does_not_pack_it(work):
    path = pack(config(export_path=".", extra_files="."))
    again = pack(config(export_path=".", extra_files=".", force=True))
    assert path == again
    assert not [name for name in names(again) if name.startswith(("m.mar", ".m.mar"))]


def test_a_link_to_a_folder_is_followed_but_not_in_circles(work):
    Path("linked").symlink_to(work / "d/sub")
    Path("d/more").symlink_to(work / "linked")
    assert "more/y.txt" in names(pack(config(extra_files="d")))
    Path("d/sub/loop").symlink_to(work / "d")
    with pytest.raises(PackingError, match="folder above"):
        pack(config(extra_files="d", force=True))


def test_files_older_than_zip_can_say_are_packed(work):
    os.utime("h.py", (0, 0))
    assert "h.py" in names(pack(config()))


def test_an_unknown_format_or_runtime_is_refused(work):
    with pytest.raises(PackingError, match="'rar' is unknown; choose from default"):
        pack(config(archive_format="rar"))
    with pytest.raises(PackingError, match="'cobol' is unknown; choose from python"):
        pack(config(runtime="cobol"))


NAMES = st.text(alphabet="abAB.-_ éü1", min_size=1, max_size=6)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=50), max_size=6),
    archive_format=st.sampled_from(["default", "zip-store", "tgz"]),
)
def test_whatever_is_packed_can_be_unpacked(tmp_path_factory, files, archive_format):
    root = tmp_path_factory.mktemp("round")
    (root / "d").mkdir()
    (root / "out").mkdir()
    for name, content in files.items():
        if name not in {".", ".."}:
            (root / "d" / name).write_bytes(content)
    kept = {path.name: path.read_bytes() for path in (root / "d").iterdir()}
    try:
        path = pack(
            config(
                handler="base_handler",
                extra_files=str(root / "d"),
                export_path=str(root / "out"),
                archive_format=archive_format,
            )
        )
    except PackingError:
        assert len({name.casefold() for name in kept}) < len(kept)
        return
    unpack(path, root / "again", ArchiveLimits())
    (root / "again/MAR-INF/MANIFEST.json").unlink()
    (root / "again/MAR-INF").rmdir()
    assert {path.name: path.read_bytes() for path in (root / "again").iterdir()} == kept
