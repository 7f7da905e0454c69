"""A client of a running server's management address, for ``flambeau models`` and ``token``.

Finds the address and the key, sends one call, and turns every failure into one sentence with a
remedy. Speaks REST only; knows nothing of the server's inside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import requests

from flambeau.cli.screen import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_ADDRESS = "http://127.0.0.1:8081"
CONNECT_TIMEOUT_S = 10.0


class Client:
    """Calls the server at ``address`` with ``token`` (None: without one)."""

    def __init__(self, address: str, token: str | None) -> None:
        if not address.startswith(("http://", "https://")):
            raise CommandFailed(
                f"--address {address}: expected http://host:port or https://host:port"
            )
        self.address = address.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, given: Mapping[str, Any] | None = None) -> Any:
        """The parsed JSON answer; parameters that are None are left out. CommandFailed tells the reason."""
        query = {key: _spelled(value) for key, value in (given or {}).items() if value is not None}
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = requests.request(
                method,
                self.address + path,
                params=query,
                headers=headers,
                timeout=(CONNECT_TIMEOUT_S, None),
            )
        except requests.RequestException as error:
            raise CommandFailed(
                f"No answer from {self.address}: {_root(error)}. Is the server running there? "
                "Name another one with --address."
            ) from None
        if not response.ok:
            raise CommandFailed(_reason(response))
        return response.json() if response.text.strip() else None


def model_path(name: str, version: str | None = None) -> str:
    """The path of a model, or of one version of it."""
    path = f"/models/{quote(name, safe='')}"
    return path if version is None else f"{path}/{quote(version, safe='')}"


def key_from(path: Path, kind: str) -> str | None:
    """One key (``management``, ``inference``, ``API``) of a key file; None if it is not there."""
    try:
        entry = json.loads(path.read_text())[kind]
        return str(entry["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def connection(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which server to speak to, and with which key."""
    for option in (
        click.option(
            "--key-file",
            type=click.Path(path_type=Path),
            default=Path("key_file.json"),
            show_default=True,
            help="Key file of the server; used when no token is given.",
        ),
        click.option("--token", envvar="FLAMBEAU_TOKEN", help="Key to call with. [FLAMBEAU_TOKEN]"),
        click.option(
            "--address",
            envvar="FLAMBEAU_ADDRESS",
            default=DEFAULT_ADDRESS,
            show_default=True,
            help="Management address of the server. [FLAMBEAU_ADDRESS]",
        ),
    ):
        command = option(command)
    return command


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _root(error: BaseException) -> str:
    """The innermost reason, without the layers of the HTTP library around it."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    text = str(reason)
    return text.rpartition(": ")[2] or type(error).__name__


def _reason(response: requests.Response) -> str:
    try:
        body = response.json()
        text = f"{body['message']} ({response.status_code} {body['type']})"
    except (ValueError, KeyError, TypeError):
        text = f"{response.status_code} {response.reason}"
    if "InvalidKeyException" in text:
        text += "\nGive the key with --token, FLAMBEAU_TOKEN, or run where key_file.json lies."
    return text
