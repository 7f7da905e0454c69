"""``flambeau serve`` and ``flambeau stop``: torchserve's start and stop, with friendlier flags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flambeau.cli import launch
from flambeau.cli.flags import own_settings, split_setting
from flambeau.cli.pidfile import PidFile
from flambeau.cli.screen import CommandFailed, json_option, print_json
from flambeau.config.load import Flags
from flambeau.config.table import rows

if TYPE_CHECKING:
    from collections.abc import Callable

_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_pid_file = click.option(
    "--pid-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the pid is kept; default: .model_server.pid in the folder for temporary files.",
)


def _flags_of_table(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with an option for each setting whose row names a flag of its own."""
    for row in reversed(own_settings()):
        help_text = f"{row.setting.sentence} Expected: {row.expected}."
        option = click.option(row.setting.flag, row.key, metavar="VALUE", help=help_text)
        command = option(command)
    return command


@click.command()
@click.argument("archives", nargs=-1, metavar="[MODEL]...")
@click.option("--model-store", type=_folder, help="Folder of model archives.")
@click.option("--models", help="Models to load: all, or a comma list of file, URL, name=file.")
@click.option("--config", type=_file, help="config.properties to read.")
@click.option("--host", help="Host to listen on; default 127.0.0.1.")
@click.option(
    "--port",
    type=click.IntRange(1, 65530),
    help="Port of the inference API; management, metrics and gRPC take the next four. "
    "Default 8080 to 8082 and, for gRPC, 7070 and 7071.",
)
@click.option("--workers", type=click.IntRange(1), help="Workers per model.")
@click.option("--tokens/--no-tokens", default=None, help="Ask for keys; default: yes.")
@click.option("--model-api", is_flag=True, help="Allow models to be registered over the API.")
@click.option(
    "--snapshots/--no-snapshots",
    default=False,
    help="Save what is registered after every change, and start from what was saved last; "
    "the saved models are then used instead of those named here. Default: no.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting; repeatable."
)
@_flags_of_table
@click.option("--detach", is_flag=True, help="Return at once; the server goes on.")
@_pid_file
def serve(
    *,
    archives: tuple[str, ...],
    model_store: Path | None,
    models: str | None,
    config: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    tokens: bool | None,
    model_api: bool,
    snapshots: bool,
    settings: tuple[str, ...],
    detach: bool,
    pid_file: Path | None,
    **own: str | None,
) -> None:
    """Start a server and stay with it until Ctrl-C or a stop.

    \b
    Examples:
      flambeau serve digits.mar
      flambeau serve --model-store store --models all --workers 2
      flambeau serve --config config.properties --set batching=strict

    Exit codes: 0 stopped as asked, 1 could not start, 2 wrong command line.
    """  # noqa: D301 - \b keeps the lines of the examples
    overrides = _addresses(host, port)
    if workers is not None:
        overrides["default_workers_per_model"] = str(workers)
    if tokens is not None:
        overrides["disable_token_authorization"] = "false" if tokens else "true"
    overrides |= {key: value for key, value in own.items() if value is not None}
    overrides |= dict(_setting(text) for text in settings)
    store, chosen = _store_of(archives, model_store)
    flags = Flags(
        ts_config=str(config) if config else None,
        model_store=str(store) if store else None,
        models=(*chosen, *((models,) if models else ())),
        snapshots=snapshots,
        enable_model_api=model_api,
        overrides=overrides,
    )
    _start(flags, PidFile(pid_file), detach=detach)


@click.command()
@click.option("--wait/--no-wait", default=True, help="Wait until the server has ended.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait at most.",
)
@_pid_file
@json_option
def stop(*, wait: bool, timeout: float, pid_file: Path | None, as_json: bool) -> None:
    """Stop the server: it answers what it has accepted, then ends.

    \b
    Examples:
      flambeau stop
      flambeau stop --timeout 120

    Exit codes: 0 stopped (or told to, with --no-wait), 1 not running or still running after the
    timeout, 2 wrong command line.
    """  # noqa: D301 - \b keeps the lines of the examples
    found = PidFile(pid_file)
    server = found.server()
    ended = launch.stop(found, wait_s=timeout if wait else 0.0)
    if server is None or ended is None:
        raise CommandFailed(f"No server is running: {found.path} names none.")
    if wait and not ended:
        raise CommandFailed(f"The server (pid {server.pid}) is still running after {timeout:g} s.")
    if ended:
        found.remove()
    if as_json:
        print_json({"pid": server.pid, "stopped": ended})
    else:
        state = "has stopped" if ended else "was told to stop"
        click.echo(f"The server (pid {server.pid}) {state}.")


def _start(flags: Flags, pid_file: PidFile, *, detach: bool) -> None:
    warning = launch.rival_installation()
    if warning:
        click.echo(warning, err=True)
    try:
        launch.claim(pid_file)
        configuration = launch.checked(flags)
    except launch.LaunchError as error:
        raise CommandFailed(str(error)) from None
    if not detach:
        raise click.exceptions.Exit(launch.in_foreground(configuration, pid_file))
    pid = launch.in_background(flags, pid_file)
    click.echo(f"The server starts with pid {pid}; stop it with: flambeau stop")


def _setting(text: str) -> tuple[str, str]:
    key, value = split_setting(text)
    if key not in rows() or not rows()[key].setting.in_file:
        raise click.BadParameter(f"{key!r} is no setting", param_hint="--set")
    return key, value


def _addresses(host: str | None, port: int | None) -> dict[str, str]:
    """Where the three HTTP and two gRPC listeners are; empty unless a host or port was asked for."""
    if host is None and port is None:
        return {}
    keys = ("inference_address", "management_address", "metrics_address")
    first = 8080 if port is None else port
    where = "127.0.0.1" if host is None else f"[{host}]" if ":" in host else host
    found = {key: f"http://{where}:{first + place}" for place, key in enumerate(keys)}
    for place, api in enumerate(("inference", "management"), len(keys)):
        if host is not None:
            found[f"grpc_{api}_address"] = host
        if port is not None:
            found[f"grpc_{api}_port"] = str(port + place)
    return found


def _store_of(
    archives: tuple[str, ...], model_store: Path | None
) -> tuple[Path | None, tuple[str, ...]]:
    """The store to use and the names in it: without --model-store, the folder the files lie in."""
    if model_store is not None or not archives:
        return model_store, archives
    paths = [Path(archive).resolve() for archive in archives]
    for path in paths:
        if not path.exists():
            raise CommandFailed(f"There is no model {path}.")
    folders = {path.parent for path in paths}
    if len(folders) > 1:
        raise CommandFailed(
            "The models lie in different folders: name the one to serve by --model-store."
        )
    return folders.pop(), tuple(path.name for path in paths)
