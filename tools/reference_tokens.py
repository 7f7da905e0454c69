"""Write docs/reference/tokens.md: which kind of key opens which route, asked of the real gate.

python tools/reference_tokens.py           # write the page
python tools/reference_tokens.py --check   # fail when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from flambeau.errors import InvalidKey
from flambeau.rest.endpoints import ENDPOINTS
from flambeau.rest.route import Api, Endpoint, Key
from flambeau.security.gate import Gate
from flambeau.security.tokens import Allow, Credential, Tokens

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "tokens.md"
MADE = "<!-- Made by tools/reference_tokens.py. Change the table it reads, not this page. -->"

MODEL, OTHER = "m", "another"
NO_KEY = "none"
KINDS: dict[str, tuple[set[Allow], str | None]] = {
    # kind: what it allows, and the only model it is good for
    "inference": ({Allow.INFERENCE}, None),
    "inference, this model": ({Allow.INFERENCE}, MODEL),
    "inference, another model": ({Allow.INFERENCE}, OTHER),
    "management": ({Allow.READ, Allow.MANAGE}, None),
    "read": ({Allow.READ}, None),
    "read, this model": ({Allow.READ}, MODEL),
    "manage, this model": ({Allow.READ, Allow.MANAGE}, MODEL),
    "manage, another model": ({Allow.READ, Allow.MANAGE}, OTHER),
    "API": ({Allow.RENEW}, None),
}

INTRODUCTION = """\
Which key opens which route while token authorization is on. A key that is missing, wrong or expired
opens what stands under *none*; what a key does not open is answered with 400 InvalidKeyException, and so
is, without a key of the listener, every path that does not exist. *inference*, *management* and *API* are
the keys of `key_file.json`; keys from outside (`tokens_file`, `FLAMBEAU_TOKENS`) are limited by `allow`
and `models`, where *manage* opens what *management* does. *This model* is the one the route names; on a
route that names none and tells of all, a key for single models opens nothing. Metrics never ask for a key."""


def gate() -> Gate:
    """A gate that knows one key of each kind; the key's text is the kind."""
    credentials = [
        Credential.of_key(
            kind, _text(kind), frozenset(allow), None, frozenset({model}) if model else None
        )
        for kind, (allow, model) in KINDS.items()
    ]
    return Gate(Tokens(None, grants=credentials))


def _text(kind: str) -> str:
    return kind.replace(", ", "-").replace(" ", "-")


def opens(asked: Gate, row: Endpoint, api: Api, kind: str) -> bool:
    """Whether a key of ``kind`` opens ``row`` on the listener of ``api``, as the REST face asks."""
    if row.key is Key.NONE:
        return True
    model = "" if row.names_all else None
    if "{model_name}" in row.path or "model_name" in row.spellings:
        model = MODEL
    authorization = None if kind == NO_KEY else f"Bearer {_text(kind)}".encode()
    try:
        key = api if row.key is Key.LISTENER else row.key
        asked.check(key, authorization, model=model, write=row.writes)
    except InvalidKey:
        return False
    return True


def page() -> str:
    """The whole page."""
    asked = gate()
    kinds = [NO_KEY, *KINDS]
    lines = ["# Routes by token", "", MADE, "", *INTRODUCTION.splitlines()]
    for api in Api:
        lines += ["", f"## {api.capitalize()}", ""]
        lines += ["| route | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
        for row in ENDPOINTS:
            if api in row.apis:
                cells = ["yes" if opens(asked, row, api, kind) else "" for kind in kinds]
                method = ", ".join(row.methods) or "any"
                lines.append(f"| {method} `{row.path}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print(f"docs/reference/{PAGE.name} is out of date: run python {arguments[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(["tools/reference_tokens.py", *sys.argv[1:]]))
