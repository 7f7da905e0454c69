"""``flambeau token``: the keys that open a server.

Shows the keys of a key file, renews one through the server, or makes a strong new key for the
setting ``tokens_file`` (in which only its digest is written).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from flambeau.cli.client import Client, connection, key_from
from flambeau.cli.screen import CommandFailed, json_option, print_json, print_table

_KINDS = ("management", "inference", "API")
_ALLOWS = ("inference", "read", "manage")
_KEY_BYTES = 32


@click.group()
def token() -> None:
    """Show, renew or make keys.

    \b
    Examples:
      flambeau token show --kind inference
      flambeau token rotate management
      flambeau token new --name ci --allow inference --model digits --days 90
    """  # noqa: D301 - \b keeps the lines of the examples


@token.command()
@click.option("--kind", type=click.Choice(_KINDS), help="Print this key alone, for scripts.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    default=Path("key_file.json"),
    show_default=True,
    help="Key file of the server.",
)
@json_option
def show(*, kind: str | None, key_file: Path, as_json: bool) -> None:
    """Show the keys of the key file in the server's working directory."""
    keys = _keys(key_file)
    if kind is not None:
        if kind not in keys:
            raise CommandFailed(f"{key_file} holds no {kind} key.")
        click.echo(json.dumps(keys[kind], indent=2) if as_json else keys[kind]["key"])
    elif as_json:
        print_json(keys)
    else:
        rows = [
            (name, entry["key"], entry.get("expiration time", "never"))
            for name, entry in keys.items()
        ]
        print_table(("opens", "key", "expires"), rows)


@token.command()
@click.argument("kind", type=click.Choice(("management", "inference")))
@connection
@json_option
def rotate(*, kind: str, address: str, token: str | None, key_file: Path, as_json: bool) -> None:
    """Renew the management or the inference key; the old one stops working at once.

    Needs the API key: from --token, FLAMBEAU_TOKEN or the key file.
    """
    client = Client(address, token or key_from(key_file, "API"))
    client.call("GET", "/token", {"type": kind})
    key = key_from(key_file, kind)
    if key is None:
        click.echo(f"Renewed. The new {kind} key is in key_file.json of the server's folder.")
    elif as_json:
        print_json(_keys(key_file)[kind])
    else:
        click.echo(key)


@token.command()
@click.option("--name", required=True, help="What the key is called in messages.")
@click.option(
    "--allow",
    type=click.Choice(_ALLOWS),
    multiple=True,
    default=("inference",),
    show_default=True,
    help="What it opens; may be given several times.",
)
@click.option("--model", "models", multiple=True, help="Only this model; may be repeated.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires.")
@json_option
def new(
    *,
    name: str,
    allow: tuple[str, ...],
    models: tuple[str, ...],
    days: float | None,
    as_json: bool,
) -> None:
    """Make a key of 256 random bits and the entry for the file that tokens_file names.

    The entry holds the key's digest only: the key itself is shown once, here.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    entry: dict[str, Any] = {
        "name": name,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "allow": list(allow),
    }
    if models:
        entry["models"] = list(models)
    if days is not None:
        expires = datetime.now(UTC) + timedelta(days=days)
        entry["expires"] = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    if as_json:
        print_json({"key": key, "entry": entry})
        return
    click.echo(f"Key (shown only now):\n  {key}\n\nEntry for the list in tokens_file:")
    print_json(entry)


def _keys(key_file: Path) -> dict[str, dict[str, str]]:
    try:
        keys = json.loads(key_file.read_text())
        return {name: keys[name] for name in _KINDS if "key" in keys.get(name, {})}
    except OSError as error:
        raise CommandFailed(
            f"{key_file} cannot be read: {error.strerror}. It lies where the server was started; "
            "name it with --key-file. With --disable-token-auth there is none."
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise CommandFailed(f"{key_file} is no key file.") from None
