"""``flambeau archive``: packs a model archive, as ``torch-model-archiver`` does, with a progress bar.

The packing itself is ``archive.mar``; this module names the options and shows how far it is.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from flambeau.archive.mar import ModelArchiverConfig, pack
from flambeau.archive.packing import PackingError
from flambeau.cli.screen import CommandFailed, console, json_option, print_json

_FORMATS = {"mar": "default", "stored": "zip-store", "tgz": "tgz", "folder": "no-archive"}
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("archive")
@click.option("--name", required=True, help="Name of the model, and of the archive.")
@click.option("--version", required=True, help="Version of the model.")
@click.option("--handler", required=True, help="File, file:function, or a shipped handler's name.")
@click.option("--weights", type=_file, help="Weights (state dict, TorchScript, ...).")
@click.option("--model-file", type=_file, help="Python file that defines the network.")
@click.option("--extra", multiple=True, help="Further file, folder or wildcard; repeatable.")
@click.option("--config", type=_file, help="model-config.yaml.")
@click.option("--requirements", type=_file, help="requirements.txt.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="mar",
    show_default=True,
    help="mar: compressed; stored: not compressed, faster; tgz; folder: not packed.",
)
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    show_default="the working directory",
    help="Folder to write to.",
)
@click.option("--force", is_flag=True, help="Replace an archive that is there.")
@json_option
def archive(
    *,
    name: str,
    version: str,
    handler: str,
    weights: Path | None,
    model_file: Path | None,
    extra: tuple[str, ...],
    config: Path | None,
    requirements: Path | None,
    form: str,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Pack a model into an archive that a server can load.

    \b
    Examples:
      flambeau archive --name digits --version 1.0 --handler handler.py --weights net.pt
      flambeau archive --name digits --version 2.0 --handler handler.py --format stored --force

    Exit codes: 0 written, 1 not written, 2 wrong command line.
    """  # noqa: D301 - \b keeps the lines of the examples
    wanted = ModelArchiverConfig(
        model_name=name,
        handler=handler,
        version=version,
        serialized_file=_text(weights),
        model_file=_text(model_file),
        extra_files=",".join(extra) or None,
        export_path=str(out),
        archive_format=_FORMATS[form],
        force=force,
        requirements_file=_text(requirements),
        config_file=_text(config),
    )
    written = _packed(wanted)
    if as_json:
        print_json({"archive": str(written), "size": _size(written)})
    else:
        click.echo(f"Wrote {written} ({_size(written):,} bytes).")
        click.echo(f"Try it: flambeau check {written}")


def _packed(wanted: ModelArchiverConfig) -> Path:
    """The archive, written under the eyes of the person who waits for it (on stderr)."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    screen = console(stderr=True)
    quiet = not screen.is_terminal
    with Progress(*columns, console=screen, transient=True, disable=quiet) as bar:
        task = bar.add_task(f"Packing {wanted.model_name}", total=None)

        def advance(size: int, total: int) -> None:
            bar.update(task, advance=size, total=total)

        try:
            return pack(wanted, on_read=advance)
        except PackingError as error:
            raise CommandFailed(str(error)) from None


def _size(written: Path) -> int:
    if written.is_file():
        return written.stat().st_size
    return sum(path.stat().st_size for path in written.rglob("*") if path.is_file())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
