"""``flambeau logs``: what the log files say about one request.

Reads the files where the server writes them, rolled and compressed ones included; asks no server.
An error's request id is in its header ``x-request-id``; a handler's traceback carries it in front
of each line.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flambeau.cli.screen import CommandFailed, json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGS = ("access_log", "model_log", "ts_log")
"""In the order a request meets them. Lines of workers are in ts_log too, as copies."""
_COPY = "MODEL_LOG"
_SHORTEST = 8


@click.command()
@click.option("--request", "request_id", required=True, help="Id from the header x-request-id.")
@click.option(
    "--log-location",
    envvar="LOG_LOCATION",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("logs"),
    show_default=True,
    help="Folder of the logs. [LOG_LOCATION]",
)
@json_option
def logs(*, request_id: str, log_location: Path, as_json: bool) -> None:
    """Find what the logs say about one request: its access line and its handler's traceback.

    \b
    Examples:
      flambeau logs --request 4e0b8c4e-0d2e-4c57-9f1c-0e7c4a7b5a11
      flambeau logs --request 4e0b8c4e --log-location /var/log/flambeau

    The beginning of an id will do. Access lines carry ids where log_format=json is set.
    """  # noqa: D301 - \b keeps the lines of the examples
    if len(request_id) < _SHORTEST:
        raise click.UsageError(f"--request: give {_SHORTEST} characters of the id or more.")
    if not log_location.is_dir():
        raise CommandFailed(
            f"There is no folder {log_location}. Name the server's with --log-location, or run "
            "where the server was started."
        )
    found = [
        {"file": path.name, "line": line}
        for path in files_of(log_location)
        for line in lines_with(path, request_id)
    ]
    if not found:
        raise CommandFailed(
            f"No log in {log_location} mentions request {request_id}. Requests that went well "
            "leave a line with their id only where log_format=json is set."
        )
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one['file']}: {one['line']}")


def files_of(folder: Path) -> list[Path]:
    """The log files of a request, oldest first within each log."""
    found: list[Path] = []
    for log in _LOGS:
        rolled = re.compile(re.escape(log) + r"\.(\d{4}-\d\d-\d\d)\.(\d+)\.log(\.gz)?")
        old = [(each, rolled.fullmatch(each.name)) for each in folder.iterdir()]
        dated = sorted((match[1], int(match[2]), each) for each, match in old if match)
        found += [each for _, _, each in dated]
        current = folder / f"{log}.log"
        if current.is_file():
            found.append(current)
    return found


def lines_with(path: Path, text: str) -> Iterator[str]:
    """The lines of a log file that hold ``text``, without copies of another log's lines.

    Raises CommandFailed when the file cannot be read.
    """
    server_log = path.name.startswith("ts_log")
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", errors="replace")
            if (path.suffix == ".gz")
            else path.open(encoding="utf-8", errors="replace") as file
        ):
            for line in file:
                if text in line and not (server_log and _COPY in line):
                    yield line.rstrip("\n")
    except FileNotFoundError:
        return  # rolled away meanwhile
    except (OSError, EOFError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}") from error
