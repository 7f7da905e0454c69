"""``flambeau check``: does this archive work? Opens no port and starts no other process.

Unpacks the archive as the server would, loads its handler in this process with the worker's own
code, runs example inputs through it, and says what it found.
"""

from __future__ import annotations

import pdb  # noqa: T100 - --post-mortem opens it on purpose
import sys
import tempfile
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from flambeau.archive.members import ArchiveLimits
from flambeau.archive.unpack import unpack
from flambeau.cli import examples
from flambeau.cli.findings import Findings, Sample
from flambeau.cli.screen import CommandFailed, json_option, print_json
from flambeau.cli.trial import Trial, opened
from flambeau.errors import FlambeauError
from flambeau.transport.messages import Load, WorkerSettings
from flambeau.worker.failures import loading_failed

_given = click.Path(exists=True, dir_okay=False, path_type=Path)
_TEXT = "--data"


@click.command()
@click.argument("archive", type=click.Path(exists=True, path_type=Path))
@click.option("--input", "inputs", type=_given, multiple=True, help="File to send; repeatable.")
@click.option("--data", multiple=True, help="Text or JSON to send; repeatable.")
@click.option("--content-type", help="Content type of --input and --data; default: guessed.")
@click.option("--handler", help="Handler to use instead of the manifest's.")
@click.option("--envelope", default="", help="body, json, kserve or kservev2.")
@click.option("--gpu", type=click.IntRange(0), help="GPU to offer the handler; default: none.")
@click.option("--post-mortem", is_flag=True, help="Open the debugger where loading fails.")
@json_option
def check(
    *,
    archive: Path,
    inputs: tuple[Path, ...],
    data: tuple[str, ...],
    content_type: str | None,
    handler: str | None,
    envelope: str,
    gpu: int | None,
    post_mortem: bool,
    as_json: bool,
) -> None:
    """Load ARCHIVE (a .mar, .tar.gz or folder) here and run its handler on an example.

    Inputs come from --input and --data; without them from the archive: the key example of its
    model-config.yaml (a file of the archive, a text, or a JSON value), or its folder examples.
    The handler runs in this process: breakpoint() and print() in it work.

    \b
    Examples:
      flambeau check digits.mar --input digit.png
      flambeau check digits.mar --data '{"pixels": [0, 1]}' --json

    Exit codes: 0 it loads and answers, 1 it does not, 2 wrong command line.
    """  # noqa: D301 - \b keeps the lines of the examples
    given = [examples.from_file(path) for path in inputs]
    given += [examples.from_text(text, _TEXT) for text in data]
    if content_type:
        given = [examples.Example(one.origin, content_type, one.body) for one in given]
    with (
        tempfile.TemporaryDirectory(prefix="flambeau-check-") as folder,
        # What handlers print must not get between the lines of the JSON.
        redirect_stdout(sys.stderr) if as_json else nullcontext(),
    ):
        findings = _found(archive, Path(folder), handler)
        if not as_json:
            findings.print_archive()
        message = _load_message(findings, envelope, gpu)
        _run(findings, message, given, post_mortem=post_mortem)
    if as_json:
        print_json(findings.document())
    else:
        findings.print_run()
    if not findings.good:
        raise click.exceptions.Exit(1)


def _found(archive: Path, folder: Path, handler: str | None) -> Findings:
    try:
        return Findings.of(archive, _unpacked(archive, folder), handler)
    except FlambeauError as error:
        raise CommandFailed(f"{archive}: {error}") from None


def _unpacked(archive: Path, folder: Path) -> Path:
    """The folder the model lies in; a folder that holds only a folder stands for that one."""
    if not archive.is_dir():
        into = folder / "model"
        unpack(archive, into, ArchiveLimits())
        return into
    inside = list(archive.iterdir())
    only = inside[0] if len(inside) == 1 and inside[0].is_dir() else archive
    return only.resolve()


def _load_message(findings: Findings, envelope: str, gpu: int | None) -> Load:
    return Load(
        model_name=findings.name,
        model_version=findings.manifest.model.model_version,
        model_dir=str(findings.model_dir),
        handler=findings.handler,
        batch_size=findings.batch_size,
        gpu_id=gpu,
        manifest=findings.manifest_document or {},
        model_yaml_config=findings.config_document or {},
        settings=WorkerSettings(envelope=envelope),
    )


def _run(
    findings: Findings, message: Load, given: list[examples.Example], *, post_mortem: bool
) -> None:
    """Load and ask; what happens is written into ``findings``."""
    try:
        with opened(message) as trial:
            findings.loaded(trial.load_ms)
            found = given or examples.of_archive(findings.model_dir, findings.config_document)
            _ask(findings, trial, found)
    except (KeyboardInterrupt, click.exceptions.Exit):
        raise
    except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit too
        findings.load_failed(loading_failed(error, str(findings.model_dir)))
        if post_mortem:
            pdb.post_mortem(error.__traceback__)


def _ask(findings: Findings, trial: Trial, found: list[examples.Example]) -> None:
    for example in found:
        answered = trial.ask([example])
        findings.samples.append(Sample(example, answered.answers[0], answered.handler_ms))
    if found and findings.batch_size > 1:
        pair: list[Any] = [found[0], found[-1]]
        findings.batch_of_two = trial.ask(pair)
