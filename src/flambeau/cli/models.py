"""``flambeau models``: what is registered in a running server, and changes to it.

Each command is one call of the management API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flambeau.cli.client import Client, connection, key_from, model_path
from flambeau.cli.screen import console, json_option, print_json, print_table
from flambeau.control.requests import RegisterModel, ScaleWorkers, parameters
from flambeau.versions.rows import standing_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.decorators import FC

    from flambeau.control.requests import Parameter, Request

_PAGE = 100
_FLAGS = {
    "model_name": "--name",
    "initial_workers": "--workers",
    "min_worker": "--min",
    "max_worker": "--max",
    "synchronous": "--wait/--no-wait",
}
"""Parameters whose flag is not their own name."""


def _flags(kind: type[Request], *others: str) -> Callable[[FC], FC]:
    """Decorator: an option for each parameter of a request but the ``others``."""

    def add(command: FC) -> FC:
        for parameter in reversed(parameters(kind)):
            if parameter.name not in others:
                command = _flag(parameter)(command)
        return command

    return add


def _flag(parameter: Parameter) -> Callable[[FC], FC]:
    name, kind = parameter.name, parameter.type
    flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
    more: dict[str, Any] = {"help": parameter.sentence}
    if name == "synchronous":
        more |= {"default": True, "help": "Wait until it is done."}
    elif kind is bool:
        more |= {"is_flag": True}
    elif kind is int:
        more |= {"type": click.IntRange(parameter.least)}
    elif parameter.choices:
        more |= {"type": click.Choice(parameter.choices)}
    return click.option(flag, name, **more)


@click.group()
def models() -> None:
    """List, describe, register, scale and unregister models of a running server.

    \b
    Examples:
      flambeau models list
      flambeau models register digits.mar --workers 2 --name numbers
      flambeau models scale digits --min 4 --wait
      flambeau models default digits 2.0
    """  # noqa: D301 - \b keeps the lines of the examples


@models.command("list")
@connection
@json_option
def list_models(*, address: str, token: str | None, key_file: Path, as_json: bool) -> None:
    """List the registered models."""
    client = _client(address, token, key_file)
    found: list[dict[str, Any]] = []
    page: str | None = None
    while True:
        answer = client.call("GET", "/models", {"limit": _PAGE, "next_page_token": page})
        found += answer["models"]
        page = answer.get("nextPageToken")
        if page is None or not answer["models"]:
            break
    if as_json:
        print_json(found)
    elif found:
        print_table(("model", "url"), [(m["modelName"], m["modelUrl"]) for m in found])
    else:
        click.echo("No models are registered.")


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--all", "all_versions", is_flag=True, help="All versions.")
@connection
@json_option
def describe(
    *,
    name: str,
    version: str | None,
    all_versions: bool,
    address: str,
    token: str | None,
    key_file: Path,
    as_json: bool,
) -> None:
    """Describe a model: its settings, queue and workers."""
    path = model_path(name, "all" if all_versions else version)
    answer = _client(address, token, key_file).call("GET", path)
    if as_json:
        print_json(answer)
        return
    for one in answer:
        rows = [("version", one["modelVersion"]), ("url", one.get("modelUrl", "")), *_values(one)]
        rows += [("ignored keys", ", ".join(one["ignored"]))] if "ignored" in one else []
        queue = one["jobQueueStatus"]
        waiting = f"{queue['pendingRequests']} waiting, room for {queue['remainingCapacity']}"
        print_table(("setting", "value"), [*rows, ("queue", waiting)], one["modelName"])
        print_table(
            ("worker", "status", "pid", "memory (MB)", "started", "trouble"),
            [_worker(worker) for worker in one["workers"]],
        )


@models.command()
@click.argument("url")
@_flags(RegisterModel, "url")
@connection
@json_option
def register(
    *, address: str, token: str | None, key_file: Path, as_json: bool, **given: Any
) -> None:
    """Register the archive at URL: a file of the model store, or a URL it may fetch.

    \b
    Examples:
      flambeau models register digits.mar --workers 2 --name numbers
      flambeau models register https://models.example/digits.mar --name numbers
    """  # noqa: D301 - \b keeps the lines of the examples
    client = _client(address, token, key_file)
    with console(stderr=True).status(f"Registering {given['url']} ..."):
        answer = client.call("POST", "/models", given)
    _say(answer, as_json=as_json)


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@_flags(ScaleWorkers, "model_name", "model_version")
@connection
@json_option
def scale(
    *,
    name: str,
    version: str | None,
    address: str,
    token: str | None,
    key_file: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Change the number of workers, or the batching, of a live model."""
    changes = {key: value for key, value in given.items() if key not in {"synchronous", "timeout"}}
    if all(value is None for value in changes.values()):
        flags = [_FLAGS.get(key, f"--{key.replace('_', '-')}") for key in changes]
        raise click.UsageError(f"Say what to change: {', '.join(flags)}.")
    client = _client(address, token, key_file)
    with console(stderr=True).status(f"Scaling {name} ..."):
        answer = client.call("PUT", model_path(name, version), given)
    _say(answer, as_json=as_json)


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@connection
@json_option
def unregister(
    *,
    name: str,
    version: str | None,
    address: str,
    token: str | None,
    key_file: Path,
    as_json: bool,
) -> None:
    """Unregister one version of a model: the named one, else the default one."""
    answer = _client(address, token, key_file).call("DELETE", model_path(name, version))
    _say(answer, as_json=as_json)


@models.command("default")
@click.argument("name")
@click.argument("version")
@connection
@json_option
def set_default(
    *, name: str, version: str, address: str, token: str | None, key_file: Path, as_json: bool
) -> None:
    """Make VERSION the one that answers when a request names none."""
    path = f"{model_path(name, version)}/set-default"
    _say(_client(address, token, key_file).call("PUT", path), as_json=as_json)


def _client(address: str, token: str | None, key_file: Path) -> Client:
    return Client(address, token or key_from(key_file, "management"))


def _say(answer: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["status"])


def _values(description: dict[str, Any]) -> list[tuple[str, Any]]:
    """The values in force, each with its name and unit; what is off is left out."""
    found = []
    for row in standing_in(Form.DESCRIBE):
        value, about = description.get(row.spelt(Form.DESCRIBE)), row.about
        if value or (value == 0 and not (about.needs or about.later)):
            unit = f" ({about.unit})" if about.unit else ""
            found.append((f"{row.name.replace('_', ' ')}{unit}", value))
    return found


def _worker(worker: dict[str, Any]) -> tuple[Any, ...]:
    trouble = worker.get("cause", "")
    if "nextTry" in worker:
        trouble += f" (try {worker.get('tries')}, next {worker['nextTry']})"
    megabytes = f"{worker['memoryUsage'] / 1e6:.0f}"
    return worker["id"], worker["status"], worker["pid"], megabytes, worker["startTime"], trouble
