"""The model store: from the url of a registration to a local folder with a model in it.

``control`` calls ``ModelStore.fetch`` in a thread; start-up asks ``startup_entries``. Everything a
client sends stays inside the store and the server's temporary folder; only the operator
(``trusted``) may point elsewhere. A fetch that fails leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flambeau.archive import quarantine
from flambeau.archive.allowed_urls import LONGEST_URL, AllowedUrls
from flambeau.archive.manifest import MAR_INF, Manifest, read_manifest
from flambeau.archive.members import ArchiveLimits
from flambeau.archive.model_config import ModelConfig, is_plain, read_model_config, read_text
from flambeau.archive.transfer import DownloadLimits
from flambeau.archive.unpack import ZIP_SUFFIXES, unpack
from flambeau.errors import ArchiveUnreadable, BadRequest, DownloadFailed, ModelNotFound

log = logging.getLogger("flambeau.archive")

REMOTE = re.compile(r"(https?|file|s3):", re.IGNORECASE)
HOST = re.compile(r"^[A-Za-z0-9]+:(//[^/]*)?")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
ARCHIVE_SUFFIXES = (".mar", ".model", ".tar.gz")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One fetched model: where it lies unpacked and what it says about itself."""

    url: str
    """As it was given."""
    model_dir: Path
    manifest: Manifest
    manifest_document: dict[str, Any] | None
    """MANIFEST.json as written; None where the archive has none."""
    config: ModelConfig
    config_document: dict[str, Any] | None
    """model-config.yaml as written; ``{}`` if empty, None where there is no readable one."""
    downloaded: Path | None
    """The file a download put into the store; None for an archive that was there."""
    scratch: Path
    """The temporary folder that belongs to this registration alone, above ``model_dir``."""
    config_text: str = ""
    """model-config.yaml as text where ``config_document`` holds what only YAML can say."""

    def discard(self) -> None:
        """Remove the unpacked copy; doing it twice is harmless."""
        _remove_tree(self.scratch)


@dataclass(frozen=True, slots=True)
class StartupEntry:
    """One model to register at start-up."""

    name: str | None
    """The name asked for; None leaves it to the manifest."""
    url: str
    default_name: str
    """The name where neither the entry nor the manifest has one."""


class ModelStore:
    """A folder of archives, and the doors into it."""

    def __init__(
        self,
        folder: Path,
        temp: Path,
        allowed_urls: AllowedUrls | None = None,
        limits: ArchiveLimits | None = None,
        download_limits: DownloadLimits | None = None,
    ) -> None:
        self.folder = folder
        self._unpacked = temp / "models"
        self._allowed_urls = allowed_urls or AllowedUrls.parse()
        self._limits = limits or ArchiveLimits()
        self._download_limits = download_limits or DownloadLimits()

    def fetch(
        self,
        url: str,
        *,
        s3_sse_kms: bool = False,
        sha256: str | None = None,
        trusted: bool = False,
    ) -> ModelFiles:
        """The model at ``url``, unpacked and read. Blocks; call it in a thread.

        ``trusted`` lifts the walls around folders: for what the operator names at start-up.
        Raises ModelNotFound, BadRequest, DownloadFailed, ArchiveUnreadable, InvalidModel,
        InternalError (a file of that name exists).
        """
        _check_digest(sha256)
        if not url.strip():
            raise ModelNotFound("empty url")
        if ".." in url or (REMOTE.match(url) and ".." in unquote(url)):
            raise ModelNotFound(f"Relative path is not allowed in url: {url}")
        with ExitStack() as undo:
            downloaded: Path | None = None
            if REMOTE.match(url):
                found = downloaded = self._download(url, sha256, s3_sse_kms=s3_sse_kms)
                undo.callback(_remove_file, downloaded)
            else:
                found = self._find(url, trusted=trusted)
                _verify(found, sha256, url)
            scratch = self._unpacked / uuid.uuid4().hex
            undo.callback(_remove_tree, scratch)
            model_dir = self._open(found, scratch)
            manifest, manifest_document = read_manifest(model_dir)
            config, config_document, config_text = _read_config(model_dir, manifest, found.name)
            undo.pop_all()
        return ModelFiles(
            url=url,
            model_dir=model_dir,
            manifest=manifest,
            manifest_document=manifest_document,
            config=config,
            config_document=config_document,
            downloaded=downloaded,
            scratch=scratch,
            config_text=config_text,
        )

    def forget_download(self, files: ModelFiles) -> None:
        """Delete what the download put into the store: on unregister and on a failed register."""
        if files.downloaded is not None:
            _remove_file(files.downloaded)

    def startup_entries(self, load_models: str) -> list[StartupEntry]:
        """What ``load_models`` asks for: ``all``, or a comma list of ``url`` and ``name=url``."""
        if load_models.strip().lower() == "all":
            return [_entry(name) for name in self._all()]
        return [_entry(item.strip()) for item in load_models.split(",") if item.strip()]

    def sweep(self) -> None:
        """Remove what downloads of a killed server left; at start-up."""
        quarantine.sweep(self.folder)

    def _all(self) -> list[str]:
        try:
            names = sorted(
                path.name
                for path in self.folder.iterdir()
                if path.is_dir() or path.name.endswith(ARCHIVE_SUFFIXES)
            )
        except OSError as error:
            raise ModelNotFound(
                f"Model store {self.folder} cannot be read: {error.strerror}"
            ) from error
        return [name for name in names if not name.startswith(".")]

    def _download(self, url: str, sha256: str | None, *, s3_sse_kms: bool) -> Path:
        if not self._allowed_urls.allows(url):
            raise ModelNotFound(f"Given URL {url} does not match any allowed URL(s)")
        name = file_name(HOST.sub("", re.split(r"[?#]", url, maxsplit=1)[0]))
        if not name or name.startswith(".") or CONTROL.search(name):
            raise BadRequest(f"The url names no archive file: {url}")
        target = self.folder / name
        from flambeau.archive.download import Downloader  # noqa: PLC0415 - a server that downloads nothing need not carry it

        downloader = Downloader(self.folder, self._allowed_urls, self._download_limits)
        downloader.fetch(url, target, sha256, s3_sse_kms=s3_sse_kms)
        return target

    def _find(self, url: str, *, trusted: bool) -> Path:
        """The archive or folder ``url`` means. Raises ModelNotFound."""
        missing = f"Model not found at: {url}"
        if len(url) > LONGEST_URL or CONTROL.search(url):
            raise ModelNotFound(missing)
        name = file_name(url.rstrip("/"))
        try:
            path = self._place(url, name)
            real, root = path.resolve(strict=True), self.folder.resolve(strict=True)
        except (OSError, ValueError):
            raise ModelNotFound(missing) from None
        inside = real != root and real.is_relative_to(root)
        if not inside and not trusted:
            log.warning("refused, it leads out of the model store url=%r to=%s", url, real)
            raise ModelNotFound(missing)
        return path

    def _place(self, url: str, name: str) -> Path:
        """A file in the store, else the folder at an absolute path, else a folder in the store."""
        in_store = self.folder / name
        if not name or name.startswith("."):
            raise FileNotFoundError(url)
        if in_store.is_file():
            return in_store
        if url.startswith("/") and Path(url).is_dir():
            return Path(url)
        if in_store.is_dir():
            return in_store
        raise FileNotFoundError(url)

    def _open(self, found: Path, scratch: Path) -> Path:
        """Unpack an archive, or link to a folder; the folder with the model."""
        if found.is_file():
            unpack(found, scratch, self._limits)
            is_tar = not found.name.endswith(ZIP_SUFFIXES)
            return _inner(scratch) if is_tar else scratch
        try:
            folder = _inner(found.absolute())
            scratch.mkdir(parents=True, mode=0o700)
            link = scratch / folder.name
            link.symlink_to(folder, target_is_directory=True)
        except OSError as error:
            raise ArchiveUnreadable(
                f"Failed to save model: {found.name}: {error.strerror}"
            ) from error
        return link


def file_name(url: str) -> str:
    """The last component of a path or URL."""
    return re.split(r"[/\\]", url)[-1]


def _entry(item: str) -> StartupEntry:
    name, equals, url = item.partition("=")
    # "http://host/a.mar?sig=x" has no name in front; a name never looks like a path.
    if not equals or "/" in name:
        name, url = "", item.removeprefix("=")
    url = url.strip()
    stem = file_name(re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/"))
    for suffix in ARCHIVE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return StartupEntry(
        name=name.strip() or None,
        url=url,
        default_name=re.sub(r"\W", "_", stem, flags=re.ASCII),
    )


def _inner(folder: Path) -> Path:
    """``folder``, or the only folder in it when it holds nothing else."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].name != MAR_INF and inside[0].is_dir():
        return inside[0]
    return folder


def _read_config(
    model_dir: Path, manifest: Manifest, archive: str
) -> tuple[ModelConfig, dict[str, Any] | None, str]:
    named = manifest.model.config_file
    if not named:
        return ModelConfig(), None, ""
    shown = f"{archive}/{named}"
    try:
        path = (model_dir / named).resolve()
        inside = path.is_relative_to(model_dir.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        log.error("model config outside the archive, not read file=%s", shown)
        return ModelConfig(), None, ""
    config, document = read_model_config(path, shown)
    return config, document, "" if is_plain(document) else read_text(path)


def _check_digest(sha256: str | None) -> None:
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise BadRequest("Parameter sha256 must be 64 hexadecimal digits.")


def _verify(found: Path, sha256: str | None, url: str) -> None:
    if sha256 is None:
        return
    if found.is_dir():
        raise BadRequest("Parameter sha256 needs an archive file, the url names a folder.")
    with found.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.lower():
        raise DownloadFailed(f"The sha256 of {url} is {digest}, not {sha256.lower()}")


def _remove_file(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("download not deleted file=%s cause=%s", path, error)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("temporary folder not removed folder=%s cause=%s", folder, error)
