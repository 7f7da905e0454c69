"""The model store: what a url finds, what it may never reach, what a failure leaves."""

import datetime as dt
import hashlib
import json
import os
import threading

import pytest
from archive_bytes import MANIFEST, model_zip, tar_bytes, tree, zip_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.manifest import Manifest
from flambeau.archive.members import ArchiveLimits
from flambeau.archive.model_config import ModelConfig
from flambeau.archive.store import ModelStore, StartupEntry
from flambeau.errors import (
    ArchiveUnreadable,
    BadRequest,
    DownloadFailed,
    FlambeauError,
    InternalError,
    InvalidModel,
    ModelNotFound,
)

MANIFEST_TEXT = json.dumps(MANIFEST)


class Place:
    """A store, its temporary folder, and a stranger's folder beside them."""

    def __init__(self, root):
        self.root = root
        self.folder, self.temp, self.outside = root / "store", root / "temp", root / "outside"
        for folder in (self.folder, self.temp, self.outside):
            folder.mkdir()
        self.store = ModelStore(self.folder, self.temp)

    def put(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def model_folder(self, path):
        (path / "MAR-INF").mkdir(parents=True)
        (path / "MAR-INF/MANIFEST.json").write_text(MANIFEST_TEXT)
        (path / "h.py").write_text("x")
        return path

    def refuses(self, url, error, text, **options):
        (self.temp / "models").mkdir(exist_ok=True)
        before = tree(self.root)
        with pytest.raises(error) as caught:
            self.store.fetch(url, **options)
        assert type(caught.value) is error
        assert str(caught.value) == text
        assert tree(self.root) == before


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_an_archive_of_the_store_is_unpacked_and_read(place):
    place.put("m.mar", model_zip(h__py="x"))
    files = place.store.fetch("m.mar")
    assert files.url == "m.mar"
    assert files.manifest.model.model_name == "m"
    assert files.manifest_document == MANIFEST
    assert files.config == ModelConfig()
    assert files.config_document is None
    assert files.downloaded is None
    assert files.model_dir.is_relative_to(place.temp / "models")
    assert tree(files.model_dir) == ["MAR-INF", "MAR-INF/MANIFEST.json", "h.py"]
    files.discard()
    assert tree(place.temp / "models") == []
    files.discard()
    assert (place.folder / "m.mar").is_file()


def test_every_fetch_unpacks_afresh(place):
    place.put("m.mar", model_zip(h__py="x"))
    first, second = place.store.fetch("m.mar"), place.store.fetch("m.mar")
    first.discard()
    assert (second.model_dir / "h.py").is_file()


@pytest.mark.parametrize("url", ["/any/path/m.mar", "sub/m.mar", "a\\m.mar", "ftp://x/m.mar"])
def test_only_the_base_name_of_a_path_counts(place, url):
    place.put("m.mar", model_zip())
    assert place.store.fetch(url).url == url


def test_folders_of_the_store_are_not_searched(place):
    place.put("sub/m.mar", model_zip())
    place.refuses("sub/m.mar", ModelNotFound, "Model not found at: sub/m.mar")


@pytest.mark.parametrize("url", ["", " ", "\t"])
def test_a_blank_url_is_refused(place, url):
    place.refuses(url, ModelNotFound, "empty url")


@pytest.mark.parametrize(
    "url", ["../m.mar", "m..ar", "http://h/../m.mar", "file:///a/%2e%2e/b", "http://h/%2E./m.mar"]
)
def test_two_dots_are_refused_wherever_they_stand(place, url):
    place.put("m.mar", model_zip())
    place.refuses(url, ModelNotFound, f"Relative path is not allowed in url: {url}")


@pytest.mark.parametrize(
    "url",
    [
        "absent.mar",
        "ftp://127.0.0.1/none.mar",
        ".",
        "/",
        "//",
        "./",
        ".hidden",
        "x" * 300,
        "x" * 9000,
        "a\x00b.mar",
        "a\nb.mar",
        "\udcff.mar",
        "/etc",
        "/proc/self/root",
        "C:\\",
    ],
)
def test_what_is_not_there_is_not_found(place, url):
    place.put(".hidden", model_zip())
    place.refuses(url, ModelNotFound, f"Model not found at: {url}")


def test_a_folder_of_the_store_is_linked_not_copied(place):
    source = place.model_folder(place.folder / "d")
    files = place.store.fetch("d")
    assert files.model_dir.is_symlink()
    assert files.model_dir.name == "d"
    assert files.model_dir.resolve() == source
    assert files.manifest.model.model_name == "m"
    files.discard()
    assert (source / "h.py").is_file()
    assert tree(place.temp / "models") == []


def test_a_trailing_slash_means_the_same_folder(place):
    source = place.model_folder(place.folder / "d")
    assert place.store.fetch("d/").model_dir.resolve() == source


def test_a_single_folder_in_a_folder_is_followed(place):
    place.model_folder(place.folder / "outer/inner")
    files = place.store.fetch("outer")
    assert files.model_dir.name == "inner"
    assert files.manifest.model.model_name == "m"


def test_a_folder_with_nothing_but_its_manifest_is_the_model(place):
    source = place.model_folder(place.folder / "d")
    (source / "h.py").unlink()
    assert place.store.fetch("d").model_dir.resolve() == source


def test_a_tar_with_one_more_level_is_followed(place):
    members = [("./m/MAR-INF/MANIFEST.json", MANIFEST_TEXT.encode()), ("./m/h.py", b"x")]
    place.put("m.tar.gz", tar_bytes(members))
    files = place.store.fetch("m.tar.gz")
    assert files.manifest.model.model_name == "m"
    files.discard()
    assert tree(place.temp / "models") == []


def test_any_name_but_mar_is_taken_for_a_tar(place):
    members = [("m/MAR-INF/MANIFEST.json", MANIFEST_TEXT.encode())]
    place.put("m.model", tar_bytes(members))
    assert place.store.fetch("m.model").manifest.model.model_name == "m"


def test_an_absolute_folder_inside_the_store_is_taken(place):
    place.model_folder(place.folder / "group/d")
    url = str(place.folder / "group/d")
    assert place.store.fetch(url).manifest.model.model_name == "m"


def test_an_absolute_folder_outside_is_for_the_operator_only(place):
    place.model_folder(place.outside / "d")
    url = str(place.outside / "d")
    place.refuses(url, ModelNotFound, f"Model not found at: {url}")
    assert place.store.fetch(url, trusted=True).manifest.model.model_name == "m"


def test_the_store_itself_is_no_model(place):
    url = str(place.folder)
    place.refuses(url, ModelNotFound, f"Model not found at: {url}")


@pytest.mark.parametrize("name", ["f.mar", "d"])
def test_a_link_out_of_the_store_is_for_the_operator_only(place, name):
    (place.outside / "f.mar").write_bytes(model_zip())
    place.model_folder(place.outside / "d")
    (place.folder / name).symlink_to(place.outside / name)
    place.refuses(name, ModelNotFound, f"Model not found at: {name}")
    assert place.store.fetch(name, trusted=True).manifest.model.model_name == "m"


def test_a_link_within_the_store_is_followed(place):
    place.put("real.mar", model_zip())
    (place.folder / "m.mar").symlink_to("real.mar")
    assert place.store.fetch("m.mar").manifest.model.model_name == "m"


def test_a_link_that_loops_is_not_found(place):
    (place.folder / "m.mar").symlink_to("m.mar")
    place.refuses("m.mar", ModelNotFound, "Model not found at: m.mar")


def test_a_named_pipe_is_not_found(place):
    os.mkfifo(place.folder / "m.mar")
    place.refuses("m.mar", ModelNotFound, "Model not found at: m.mar")


@pytest.mark.parametrize(
    ("name", "content", "error", "text"),
    [
        (
            "z.mar",
            zip_bytes([("../../slipped.txt", "x")]),
            ArchiveUnreadable,
            "Failed to save model: z.mar: member '../../slipped.txt' leads out of the archive ('..')",
        ),
        (
            "t.mar",
            b"text",
            InvalidModel,
            "Failed to save model: t.mar: it is not a zip file; pack it again",
        ),
        ("b.mar", model_zip("{not json"), InvalidModel, "Failed to parse signature.json."),
        ("e.mar", model_zip(""), InvalidModel, "Failed to parse signature.json."),
    ],
)
def test_a_broken_archive_leaves_nothing_and_works_once_mended(place, name, content, error, text):
    place.put(name, content)
    place.refuses(name, error, text)
    place.put(name, model_zip())
    assert place.store.fetch(name).manifest.model.model_name == "m"


def test_the_limits_of_the_store_hold(place):
    store = ModelStore(place.folder, place.temp, limits=ArchiveLimits(members=1))
    place.put("m.mar", model_zip(h__py="x"))
    with pytest.raises(ArchiveUnreadable, match="more than 1 members"):
        store.fetch("m.mar")


def test_an_archive_without_a_manifest_is_left_to_the_caller(place):
    place.put("m.mar", zip_bytes([("h.py", "x")]))
    files = place.store.fetch("m.mar")
    assert files.manifest == Manifest()
    assert files.manifest_document is None


def with_config(name, **files):
    model = {**MANIFEST["model"], "configFile": name}
    return model_zip({**MANIFEST, "model": model}, **files)


def test_the_config_the_manifest_names_is_read(place):
    place.put("m.mar", with_config("c.yaml", c__yaml="batchSize: 3\nown: 1\n"))
    files = place.store.fetch("m.mar")
    assert files.config == ModelConfig({"batch_size": 3})
    assert files.config_document == {"batchSize": 3, "own": 1}


def test_a_config_that_json_cannot_hold_is_kept_as_text_too(place):
    text = "since: 2026-01-31\nbatchSize: 3\n"
    place.put("m.mar", with_config("c.yaml", c__yaml=f"\ufeff{text}"))
    files = place.store.fetch("m.mar")
    assert files.config_document == {"since": dt.date(2026, 1, 31), "batchSize": 3}
    assert files.config_text == text
    place.put("n.mar", with_config("c.yaml", c__yaml="batchSize: 3\n"))
    assert place.store.fetch("n.mar").config_text == ""


@pytest.mark.parametrize("text", ["minWorkers: [1", "- 1"])
def test_a_config_that_cannot_be_read_counts_as_none(place, caplog, text):
    place.put("m.mar", with_config("c.yaml", c__yaml=text))
    files = place.store.fetch("m.mar")
    assert (files.config, files.config_document) == (ModelConfig(), None)
    assert "m.mar/c.yaml" in caplog.text


def test_an_empty_config_has_no_keys(place):
    place.put("m.mar", with_config("c.yaml", c__yaml=""))
    assert place.store.fetch("m.mar").config_document == {}


@pytest.mark.parametrize("name", ["../../../secret.yaml", "{outside}/secret.yaml", "x\x00y"])
def test_a_config_outside_the_archive_is_not_read(place, caplog, name):
    (place.outside / "secret.yaml").write_text("batchSize: 3")
    (place.temp / "secret.yaml").write_text("batchSize: 3")
    place.put("m.mar", with_config(name.format(outside=place.outside)))
    files = place.store.fetch("m.mar")
    assert (files.config, files.config_document) == (ModelConfig(), None)
    assert "not read" in caplog.text


def test_a_remote_archive_is_downloaded_and_forgotten(place, remote):
    url = f"{remote.base}/m.mar?sig=a&x=1#f"
    files = place.store.fetch(url)
    assert files.url == url
    assert files.downloaded == place.folder / "m.mar"
    assert files.downloaded.is_file()
    files.discard()
    assert place.store.fetch("m.mar").manifest.model.model_name == "m"
    place.store.forget_download(files)
    assert tree(place.folder) == []
    place.store.forget_download(files)


def test_forgetting_leaves_an_archive_that_was_there(place):
    place.put("m.mar", model_zip())
    place.store.forget_download(place.store.fetch("m.mar"))
    assert tree(place.folder) == ["m.mar"]


def test_a_file_url_is_copied_into_the_store(place):
    (place.outside / "m.mar").write_bytes(model_zip())
    files = place.store.fetch(f"file://{place.outside}/m.mar")
    assert files.downloaded == place.folder / "m.mar"


def test_a_broken_remote_archive_leaves_nothing_and_works_once_mended(place, remote):
    url = f"{remote.base}/m.mar"
    remote.content, good = b"text", remote.content
    place.refuses(
        url, InvalidModel, "Failed to save model: m.mar: it is not a zip file; pack it again"
    )
    place.refuses(
        f"{remote.base}/404/m.mar",
        DownloadFailed,
        f"Failed to download archive from: {remote.base}/404/m.mar",
    )
    remote.content = good
    assert place.store.fetch(url).manifest.model.model_name == "m"


def test_a_remote_archive_never_replaces_one_of_the_store(place, remote):
    place.put("m.mar", b"mine")
    place.refuses(f"{remote.base}/m.mar", InternalError, "Model file already exists m.mar")
    assert (place.folder / "m.mar").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "url",
    ["http://h.invalid/", "http://h.invalid", "http://h.invalid/a/?x=/m.mar", "file:///a/#/m.mar"],
)
def test_a_url_without_a_file_name_is_refused(place, url):
    place.refuses(url, BadRequest, f"The url names no archive file: {url}")


@pytest.mark.parametrize("name", [".hidden.mar", ".download-x", "a\x01.mar"])
def test_a_url_may_not_name_a_hidden_or_odd_file(place, name):
    url = f"http://127.0.0.1:1/{name}"
    place.refuses(url, BadRequest, f"The url names no archive file: {url}")


def test_a_url_that_is_not_allowed_is_refused(place, remote):
    place.store = ModelStore(
        place.folder, place.temp, AllowedUrls.parse("http://127.0.0.1:[0-9]+/allowed/.*")
    )
    for url in (f"{remote.base}/m.mar", "file:///etc/hostname", "https://h.invalid/m.mar"):
        place.refuses(url, ModelNotFound, f"Given URL {url} does not match any allowed URL(s)")
    assert place.store.fetch(f"{remote.base}/allowed/m.mar").downloaded is not None


@pytest.mark.parametrize("scheme", ["HTTP", "Http"])
def test_schemes_are_read_in_any_case(place, remote, scheme):
    url = remote.base.replace("http", scheme, 1) + "/m.mar"
    assert place.store.fetch(url).downloaded == place.folder / "m.mar"


def test_the_s3_flag_means_nothing_for_an_archive_of_the_store(place):
    place.put("m.mar", model_zip())
    assert place.store.fetch("m.mar", s3_sse_kms=True).downloaded is None


def test_a_digest_is_checked_for_remote_and_local_archives(place, remote):
    wrong, right = "0" * 64, hashlib.sha256(remote.content).hexdigest()
    url = f"{remote.base}/m.mar"
    place.refuses(
        url,
        DownloadFailed,
        f"Failed to download archive from: {url}: its sha256 is {right}, not {wrong}",
        sha256=wrong,
    )
    place.store.fetch(url, sha256=right)
    place.refuses(
        "m.mar", DownloadFailed, f"The sha256 of m.mar is {right}, not {wrong}", sha256=wrong
    )
    place.store.fetch("m.mar", sha256=right.upper())


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "0" * 65])
def test_a_digest_that_is_none_is_refused(place, digest):
    text = "Parameter sha256 must be 64 hexadecimal digits."
    place.refuses("m.mar", BadRequest, text, sha256=digest)


def test_a_digest_of_a_folder_is_refused(place):
    place.model_folder(place.folder / "d")
    text = "Parameter sha256 needs an archive file, the url names a folder."
    place.refuses("d", BadRequest, text, sha256="0" * 64)


def test_many_fetches_at_once_do_not_disturb_each_other(place):
    place.put("m.mar", model_zip(h__py="x" * 10000))
    done = []

    def fetch():
        files = place.store.fetch("m.mar")
        done.append((files.model_dir / "h.py").read_text() == "x" * 10000)
        files.discard()

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 8
    assert tree(place.temp / "models") == []


def entry(name, url, default_name):
    return StartupEntry(name=name, url=url, default_name=default_name)


def test_all_means_every_archive_and_folder_that_is_not_hidden(place):
    for name in ("b.mar", "a.model", "c.tar.gz", ".x.mar", ".download-1", "notes.txt", "d.zip"):
        place.put(name, b"")
    (place.folder / "dir").mkdir()
    (place.folder / ".git").mkdir()
    expected = [
        entry(None, "a.model", "a"),
        entry(None, "b.mar", "b"),
        entry(None, "c.tar.gz", "c"),
        entry(None, "dir", "dir"),
    ]
    assert place.store.startup_entries("all") == expected
    assert place.store.startup_entries("ALL") == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("a.mar", entry(None, "a.mar", "a")),
        ("n=a.mar", entry("n", "a.mar", "a")),
        ("/p/x-y.z.mar", entry(None, "/p/x-y.z.mar", "x_y_z")),
        ("dir/", entry(None, "dir/", "dir")),
        ("http://h/a.mar?sig=b", entry(None, "http://h/a.mar?sig=b", "a")),
        ("n=http://h/a.mar?sig=b", entry("n", "http://h/a.mar?sig=b", "a")),
        ("/p/a=b.mar", entry(None, "/p/a=b.mar", "a_b")),
        (" n = a.mar ", entry("n", "a.mar", "a")),
        ("=a.mar", entry(None, "a.mar", "a")),
    ],
)
def test_an_entry_may_carry_a_name(place, item, expected):
    assert place.store.startup_entries(item) == [expected]


def test_entries_are_separated_by_commas_and_blank_ones_do_not_count(place):
    entries = place.store.startup_entries(" a.mar, ,b=b.mar,")
    assert [(each.name, each.url) for each in entries] == [(None, "a.mar"), ("b", "b.mar")]
    assert place.store.startup_entries("") == []


def test_a_store_that_cannot_be_read_is_named(tmp_path):
    store = ModelStore(tmp_path / "absent", tmp_path)
    with pytest.raises(ModelNotFound, match=r"Model store .*absent cannot be read"):
        store.startup_entries("all")
    with pytest.raises(ModelNotFound, match=r"^Model not found at: m\.mar$"):
        store.fetch("m.mar")


PIECES = st.sampled_from(
    ["..", ".", "", "m.mar", "d", "outside", "C:", "\\", "%2e%2e", "file:", "~"]
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(url=st.lists(PIECES, max_size=6).map("/".join) | st.text(max_size=20))
def test_no_url_reaches_outside_the_store(place, url):
    if not (place.folder / "m.mar").exists():
        place.put("m.mar", model_zip())
        place.model_folder(place.folder / "d")
        place.model_folder(place.outside / "d2")
    try:
        files = place.store.fetch(url)
    except FlambeauError:
        assert not (place.temp / "models").exists() or not tree(place.temp / "models")
        return
    target = files.model_dir.resolve()
    assert target.is_relative_to(place.folder) or target.is_relative_to(place.temp)
    files.discard()
