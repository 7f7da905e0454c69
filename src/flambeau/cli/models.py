"""``flambeau models``: what is registered in a running server, and changes to it.

Each command is one call of the management API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flambeau.cli.client import Client, connection, key_from, model_path
from flambeau.cli.screen import console, json_option, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = 100
_SHOWN = (
    ("version", "modelVersion"),
    ("url", "modelUrl"),
    ("runtime", "runtime"),
    ("min workers", "minWorkers"),
    ("max workers", "maxWorkers"),
    ("batch size", "batchSize"),
    ("max batch delay (ms)", "maxBatchDelay"),
    ("response timeout (s)", "responseTimeout"),
    ("device", "deviceType"),
    ("loaded at startup", "loadedAtStartup"),
)


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
        rows = [(label, one[key]) for label, key in _SHOWN if key in one]
        queue = one["jobQueueStatus"]
        waiting = f"{queue['pendingRequests']} waiting, room for {queue['remainingCapacity']}"
        print_table(("setting", "value"), [*rows, ("queue", waiting)], one["modelName"])
        print_table(
            ("worker", "status", "pid", "memory (MB)", "started", "trouble"),
            [_worker(worker) for worker in one["workers"]],
        )


@models.command()
@click.argument("url")
@click.option("--name", "model_name", help="Name to serve under; default: the archive's.")
@click.option("--workers", "initial_workers", type=click.IntRange(0), help="Workers to start.")
@click.option("--batch-size", type=click.IntRange(1), help="Most jobs in one batch.")
@click.option("--max-batch-delay", type=click.IntRange(0), help="Longest wait, in ms.")
@click.option("--handler", help="Handler; default: the archive's.")
@click.option("--runtime", type=click.Choice(["python", "python3"]), help="Worker interpreter.")
@click.option("--response-timeout", type=click.IntRange(1), help="Seconds for one batch.")
@click.option("--startup-timeout", type=click.IntRange(1), help="Seconds to load.")
@click.option("--wait/--no-wait", "synchronous", default=True, help="Wait until it is ready.")
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
@click.option("--min", "min_worker", type=click.IntRange(0), help="Workers to have at least.")
@click.option("--max", "max_worker", type=click.IntRange(0), help="Workers to have at most.")
@click.option("--batch-size", type=click.IntRange(1), help="Most jobs in one batch.")
@click.option("--max-batch-delay", type=click.IntRange(0), help="Longest wait, in ms.")
@click.option(
    "--timeout",
    type=click.IntRange(-1),
    help="Seconds a removed worker may take to finish; 0: none, -1: as long as it takes.",
)
@click.option("--wait/--no-wait", "synchronous", default=True, help="Wait until it is done.")
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
    wanted = [value for key, value in given.items() if key not in {"synchronous", "timeout"}]
    if all(value is None for value in wanted):
        raise click.UsageError("Say what to change: --min, --max, --batch-size, --max-batch-delay.")
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


def _worker(worker: dict[str, Any]) -> tuple[Any, ...]:
    trouble = worker.get("cause", "")
    if "nextTry" in worker:
        trouble += f" (try {worker.get('tries')}, next {worker['nextTry']})"
    megabytes = f"{worker['memoryUsage'] / 1e6:.0f}"
    return worker["id"], worker["status"], worker["pid"], megabytes, worker["startTime"], trouble
