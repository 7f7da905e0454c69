"""What ``flambeau check`` found out about an archive: kept, judged, and printed.

Filled step by step by ``cli.check``. Runs nothing itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from flambeau.archive.manifest import Manifest, RuntimeType, read_manifest
from flambeau.archive.model_config import ModelConfig, read_model_config
from flambeau.cli.screen import print_table
from flambeau.control.spec import refuse_unbuilt
from flambeau.errors import InvalidModel
from flambeau.versions.rows import rows
from flambeau.worker.loading import classes_of, import_handler

if TYPE_CHECKING:
    from pathlib import Path

    from flambeau.cli.examples import Example
    from flambeau.cli.trial import TrialAnswer, TrialAnswers
    from flambeau.transport.messages import Failed

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PREVIEW = 120
_NO_EXAMPLE = (
    "The handler loads, but nothing was sent to it: give --input FILE or --data TEXT, or put a key "
    "example into the archive's model-config.yaml."
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One example and what came of it."""

    example: Example
    answer: TrialAnswer
    handler_ms: float


@dataclass(slots=True)
class Findings:
    """Everything known about the archive so far. ``good`` is the verdict."""

    archive: Path
    model_dir: Path
    manifest: Manifest
    manifest_document: dict[str, Any] | None
    config: ModelConfig
    config_document: dict[str, Any] | None
    handler: str
    entry: str = ""
    load_ms: float | None = None
    failure: Failed | None = None
    samples: list[Sample] = field(default_factory=list)
    batch_of_two: TrialAnswers | None = None
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, archive: Path, model_dir: Path, handler: str | None) -> Findings:
        """What the files say, before anything is run. Raises errors of the archive layer."""
        manifest, document = read_manifest(model_dir)
        name = manifest.model.config_file
        config, raw = ModelConfig(), None
        if name and (model_dir / name).is_file():
            config, raw = read_model_config(model_dir / name, f"{archive.name}:{name}")
        chosen = handler or manifest.model.handler or ""
        found = cls(archive, model_dir, manifest, document, config, raw, chosen)
        found.warnings = found.file_warnings()
        return found

    @property
    def name(self) -> str:
        """The name the model would be served under."""
        stem = self.archive.name.split(".")[0]
        return self.manifest.model.model_name or re.sub(r"\W", "_", stem)

    @property
    def batch_size(self) -> int:
        """Most jobs of one batch, as the archive says."""
        size: int = self.config.given.get("batch_size", rows()["batch_size"].default)
        return size

    @property
    def good(self) -> bool:
        """It loaded, and every example was answered."""
        answers = [sample.answer for sample in self.samples]
        answers += self.batch_of_two.answers if self.batch_of_two else []
        return self.failure is None and not any(answer.failed for answer in answers)

    def loaded(self, load_ms: float) -> None:
        """Notes that the handler is ready, and how it was found."""
        self.load_ms = load_ms
        self.entry = _entry(self.handler, str(self.model_dir))

    def load_failed(self, failure: Failed) -> None:
        """Notes why the handler could not be made ready."""
        self.failure = failure

    def file_warnings(self) -> list[str]:
        """What a server or a colleague would stumble over."""
        said: list[str] = []
        model = self.manifest.model
        if self.manifest_document is None:
            said.append("there is no MAR-INF/MANIFEST.json: name and handler must be given")
        if self.manifest.runtime is RuntimeType.LSP:
            said.append("runtime LSP (C++ workers) cannot be served here")
        for label, name in (
            ("model file", model.model_file),
            ("serialized file", model.serialized_file),
            ("model config", model.config_file),
            ("requirements file", model.requirements_file),
        ):
            if name and not (self.model_dir / name).is_file():
                said.append(f"the {label} {name} named by the manifest is not in the archive")
        said += [f"model config: {why}" for why in self.config.ignored.values()]
        try:
            refuse_unbuilt(self.config.given)
        except InvalidModel as error:
            said.append(str(error))
        return said + self._missing_requirements()

    def _missing_requirements(self) -> list[str]:
        path = self.model_dir / (self.manifest.model.requirements_file or "")
        if not path.is_file():
            return []
        missing = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = _REQUIREMENT.match(line.strip())
            if match and not _installed(match[0]):
                missing.append(match[0])
        return [f"requirements not installed here: {', '.join(missing)}"] if missing else []

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "archive": str(self.archive),
            "good": self.good,
            "manifest": self.manifest_document,
            "config": self.config_document,
            "handler": {"name": self.handler, "entry": self.entry, "loadMs": _ms(self.load_ms)},
            "failure": None
            if self.failure is None
            else {
                "cause": self.failure.cause,
                "where": self.failure.where,
                "traceback": self.failure.traceback,
            },
            "samples": [
                {
                    "input": {
                        "origin": one.example.origin,
                        "contentType": one.example.content_type,
                        "size": len(one.example.body),
                    },
                    "output": {
                        "status": one.answer.status,
                        "failed": one.answer.failed,
                        "contentType": one.answer.content_type,
                        "size": len(one.answer.body),
                        "pieces": one.answer.pieces,
                        "text": _preview(one.answer),
                    },
                    "handlerMs": one.handler_ms,
                }
                for one in self.samples
            ],
            "batchOfTwo": None
            if self.batch_of_two is None
            else not any(answer.failed for answer in self.batch_of_two.answers),
            "warnings": self.warnings,
        }

    def print_archive(self) -> None:
        """The part that is known before the handler runs."""
        model = self.manifest.model
        files = [path for path in self.model_dir.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        rows = [
            ("files", f"{len(files)}, {size:,} bytes unpacked"),
            ("model", f"{self.name} {model.model_version}"),
            ("runtime", self.manifest.runtime or "not defined or unknown"),
            ("handler", self.handler or "none named"),
            *((key, value) for key, value in (self.config_document or {}).items()),
        ]
        print_table(("what", "found"), rows, str(self.archive))

    def print_run(self) -> None:
        """The part the run brought, and the verdict."""
        if self.failure is not None:
            click.echo(self.failure.traceback, err=True)
            where = f" ({self.failure.where})" if self.failure.where else ""
            click.echo(f"FAILED to load: {self.failure.cause}{where}")
        else:
            click.echo(f"Loaded {self.entry} in {self.load_ms:.0f} ms.")
            self._print_samples()
        for warning in self.warnings:
            click.echo(f"Warning: {warning}")
        click.echo("The archive works." if self.good else "The archive does not work.")

    def _print_samples(self) -> None:
        if not self.samples:
            click.echo(_NO_EXAMPLE)
            return
        rows = [
            (
                one.example.origin,
                f"{one.example.content_type}, {len(one.example.body):,} bytes",
                f"{'failed ' if one.answer.failed else ''}{one.answer.status}",
                f"{one.answer.content_type or 'no type'}, {len(one.answer.body):,} bytes"
                + (f" in {one.answer.pieces} pieces" if one.answer.pieces > 1 else ""),
                f"{one.handler_ms:.1f}",
                _preview(one.answer),
            )
            for one in self.samples
        ]
        print_table(("input", "sent", "status", "got", "ms", "answer"), rows)
        if self.batch_of_two is not None:
            failed = any(answer.failed for answer in self.batch_of_two.answers)
            click.echo(f"A batch of two {'FAILED' if failed else 'is answered'}.")


def _entry(handler: str, model_dir: str) -> str:
    """Where the handler was found: its file, and the function or class in it."""
    name, _, function = handler.partition(":")
    module = import_handler(name, model_dir)
    file = str(getattr(module, "__file__", module.__name__)).removeprefix(f"{model_dir}/")
    wanted = function or "handle"
    if hasattr(module, wanted):
        return f"function {wanted} of {file}"
    return f"class {classes_of(module)[0].__name__} of {file}"


def _preview(answer: TrialAnswer) -> str:
    text = answer.body.decode("utf-8", "replace")
    if "\ufffd" in text:
        return "(binary)"
    return text if len(text) <= _PREVIEW else text[:_PREVIEW] + " ..."


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
