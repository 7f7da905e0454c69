"""Write docs/reference/rest-api.md and errors.md from the endpoint table and the error tree.

python tools/reference_rest.py           # write both pages
python tools/reference_rest.py --check   # fail, naming the page, when one is out of date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flambeau import errors
from flambeau.rest.endpoints import ENDPOINTS
from flambeau.rest.openapi import query_parameters, schemas_of
from flambeau.rest.route import Api, Endpoint, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by tools/reference_rest.py. Change the table it reads, not this page. -->"

LISTENERS = {
    Api.INFERENCE: ("Inference API", "`inference_address`, port 8080 as shipped."),
    Api.MANAGEMENT: ("Management API", "`management_address`, port 8081 as shipped."),
    Api.METRICS: ("Metrics API", "`metrics_address`, port 8082 as shipped."),
}
KEYS = {
    Key.NONE: "no token",
    Key.INFERENCE: "inference token",
    Key.MANAGEMENT: "management token",
    Key.LISTENER: "token of the listener",
    Key.TOKENS: "API key",
}


REST_INTRODUCTION = (
    "Every listener answers `OPTIONS /` with an OpenAPI document of what it serves; that document "
    "and this page are made from the same table. Paths are percent-decoded before they are "
    "matched, trailing slashes are ignored, and of equal query parameters the first counts. A "
    "number that is none counts as not given. The token column says what opens an endpoint while "
    "token authorization is on. [Errors](errors.md) have their own page."
)
ERROR_INTRODUCTION = (
    "The body of an error is JSON with the fields `code`, `type` and `message`. `type` is the name "
    "that clients of TorchServe match on. From status 400 on the connection is closed after the "
    "answer. The gRPC column is the status of the same error over gRPC."
)
ERROR_NOTES = (
    "WorkerStartFailed and WorkerDied are 507 when memory ran out. PredictionFailed has the code "
    "that the handler's PredictionException names, if that is one from 400 to 599. "
    "RequestTooLarge and ExpectationFailed are sent without a body."
)
PREDICTIONS = (
    "The routes that ask a model take any method and any body: raw, JSON, text, or a form. The "
    "answer's body, content type and status are the handler's. `OPTIONS` on them describes the "
    "model instead."
)


def rest_api() -> str:
    """The page of all endpoints."""
    lines = [
        "# REST API",
        "",
        MADE,
        "",
        REST_INTRODUCTION,
    ]
    for api, (title, where) in LISTENERS.items():
        lines += ["", f"## {title}", "", where, ""]
        rows = [row for row in ENDPOINTS if api in row.apis]
        lines += ["| method | path | what it does | token |", "| --- | --- | --- | --- |"]
        lines += [summary(row) for row in rows]
        asking = next((row for row in rows if row.body), None)
        if asking is not None:
            lines += ["", PREDICTIONS, "", failures(asking)]
        for row in rows:
            if row.gives is not None or row.takes is not None or row.spellings:
                lines += details(row)
    return "\n".join(lines) + "\n"


def summary(row: Endpoint) -> str:
    method = ", ".join(row.methods) or "any"
    path = row.path + ("[/...]" if row.open_path else "")
    when = f" Only with {row.when}." if row.when else ""
    return f"| {method} | `{path}` | {row.sentence}{when} | {KEYS[row.key]} |"


def details(row: Endpoint) -> Iterator[str]:
    """Parameters, body, answer and errors of one row."""
    yield from ("", f"### {row.operation}", "", f"`{row.shown} {row.path}`", "")
    yield row.sentence
    parameters = query_parameters(row, schemas_of([row]))
    if parameters:
        yield from (
            "",
            "| query parameter | type | default | meaning |",
            "| --- | --- | --- | --- |",
        )
        yield from (parameter(one) for one in parameters)
    if row.json_body:
        yield from ("", "The same parameters may come as a JSON object in the body instead.")
    if row.gives is not None:
        answer = f"`{shape(row.gives)}`"
        yield from ("", f"Answers 200{' or 202' if row.accepted else ''} with {answer}.")
    if row.errors and not row.body:
        yield from ("", failures(row))


def failures(row: Endpoint) -> str:
    names = dict.fromkeys(f"`{one.type_name}` {one.status}" for one in row.errors)
    return f"Errors: {', '.join(names)}."


def parameter(one: dict[str, Any]) -> str:
    schema = one["schema"]
    default = schema.get("default", "")
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"| `{one['name']}` | {schema.get('type', '')} | {shown} | {one['description']} |"


def shape(kind: Any) -> str:
    """The answer's fields on one line, or the name of a list's items."""
    inner = getattr(kind, "__args__", None)
    if inner:
        return f"[{shape(inner[0])}]"
    fields = ", ".join(f'"{field.encode_name}"' for field in msgspec.structs.fields(kind))
    return f"{{{fields}}}"


def error_tree() -> Iterator[type[errors.FlambeauError]]:
    """Every error class in the order of the source."""
    found = [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.FlambeauError) and one is not errors.FlambeauError
    ]
    return iter(sorted(found, key=lambda one: inspect.getsourcelines(one)[1]))


def error_page() -> str:
    """The page of all errors."""
    lines = [
        "# Errors",
        "",
        MADE,
        "",
        ERROR_INTRODUCTION,
        "",
        "| error | type | status | gRPC | retry after | when |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in error_tree():
        retry = "" if one.retry_after is None else f"{one.retry_after} s"
        when = (one.__doc__ or "").splitlines()[0].replace("``", "`")
        lines.append(
            f"| {one.__name__} | `{one.type_name}` | {one.status} | `{one.grpc}` | {retry} | {when} |"
        )
    lines += ["", ERROR_NOTES]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for name, text in (("rest-api.md", rest_api()), ("errors.md", error_page())):
        path = FOLDER / name
        if "--check" not in arguments:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"docs/reference/{name} is out of date: run python {arguments[0]}")
    print(*stale, sep="\n", end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(["tools/reference_rest.py", *sys.argv[1:]]))
