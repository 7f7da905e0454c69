"""The endpoint table as OpenAPI 3.0 documents: one per listener, one per model.

The functions of the OPTIONS rows. Everything in a document comes from the rows and from the
structs they name; a route that answers is in it, and nothing else is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from flambeau.control.requests import DescribeModel
from flambeau.rest.replies import as_json, phrase_of
from flambeau.rest.route import Api, Key, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from flambeau.rest.route import Call, Endpoint, Site

Document = dict[str, Any]

OPENAPI_VERSION = "3.0.1"
MOST_KEPT = 1000
"""Documents kept of one listener; with more, all are made anew."""
_REF = "#/components/schemas/{name}"
_TITLE = "TorchServe APIs"
_TOKEN_SCHEME = "token"  # noqa: S105 - a name in the document


class ErrorView(msgspec.Struct, rename={"type_": "type"}):
    """The body of every error."""

    code: int
    type_: str
    message: str


def describe_api(call: Call) -> Reply:
    """The document of everything the listener serves."""
    return _kept(call.site, ("", ""), lambda: api_document(call.site))


def describe_model(call: Call) -> Coroutine[Any, Any, Reply]:
    """The document of what one model answers to, on this API. Raises ModelNotFound."""
    return _describe_model(call)


async def _describe_model(call: Call) -> Reply:
    name, version = call.path["model_name"], call.path.get("model_version")
    everything = version == "all"
    await call.site.plane.describe(
        DescribeModel(
            model_name=name,
            model_version=None if everything else version,
            all_versions=everything,
        )
    )
    api = call.endpoint.apis[0]
    return _kept(call.site, (api.value, name), lambda: model_document(call.site, api, name))


def _kept(site: Site, key: tuple[str, str], make: Callable[[], Document]) -> Reply:
    """The document of that key, made once: nobody shall hold the loop by asking again and again."""
    body = site.documents.get(key)
    if body is None:
        if len(site.documents) >= MOST_KEPT:
            site.documents.clear()
        body = site.documents[key] = as_json(make())
    return Reply(body)


def api_document(site: Site) -> Document:
    """All rows of a listener, and those that another listener serves, with its address."""
    document = _document(_TITLE, site, site.endpoints)
    if site.elsewhere_url:
        for row in site.elsewhere:
            document["paths"][row.path] = {
                "servers": [{"url": site.elsewhere_url}],
                row.shown.lower(): _operation(row, [], {}, guarded=False),
            }
    return document


def model_document(site: Site, api: Api, model_name: str) -> Document:
    """The rows of one API that name a model, with ``model_name`` filled in for inference."""
    rows = [row for row in site.endpoints if api in row.apis and "{model_name}" in row.path]
    if api is Api.MANAGEMENT:
        return _document(f"RESTful Management API for: {model_name}", site, rows)
    return _document(f"RESTful API for: {model_name}", site, rows, model_name=model_name)


def _document(
    title: str,
    site: Site,
    rows: Iterable[Endpoint],
    *,
    model_name: str | None = None,
) -> Document:
    rows = list(rows)
    schemas = schemas_of(rows)
    guarded = site.gate.tokens is not None
    paths: Document = {}
    for row in rows:
        path, names = row.path, _placeholders(row.path)
        if model_name is not None:
            path = path.replace("{model_name}", quote(model_name, safe=""))
            names.remove("model_name")
        operation = _operation(row, names, schemas, guarded=guarded)
        paths.setdefault(path, {}).setdefault(row.shown.lower(), operation)
    components: Document = {"schemas": schemas}
    if guarded:
        components["securitySchemes"] = {_TOKEN_SCHEME: {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": title, "version": site.server_version or "1.0"},
        "paths": paths,
        "components": components,
    }


def _operation(row: Endpoint, names: list[str], schemas: Document, *, guarded: bool) -> Document:
    operation: Document = {
        "operationId": row.operation,
        "description": row.sentence,
        "parameters": [_path_parameter(name) for name in names] + query_parameters(row, schemas),
        "responses": _responses(row),
    }
    if not row.methods:
        operation["description"] += " Any method will do."
    if row.open_path:
        operation["description"] += " Further path segments are accepted."
    if row.body:
        anything: Document = {"schema": {}}
        operation["requestBody"] = {"description": row.body, "content": {"*/*": anything}}
    if row.json_body and row.takes is not None:
        operation["requestBody"] = {
            "description": "All parameters as an object; the query is then ignored.",
            "content": {"application/json": {"schema": _ref(row.takes)}},
        }
    if guarded and row.key is not Key.NONE:
        operation["security"] = [{_TOKEN_SCHEME: []}]
    return operation


def _path_parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def query_parameters(row: Endpoint, schemas: Document) -> list[Document]:
    """The query parameters of a row; ``schemas`` are those of ``schemas_of`` for its rows."""
    found = []
    if row.takes is not None:
        properties = schemas[row.takes.__name__]["properties"]
        for name in row.query:
            schema = dict(properties[name])
            sentence = schema.pop("description", "")
            found.append({"name": name, "in": "query", "description": sentence, "schema": schema})
    for name, sentence in row.spellings.items():
        kind: Document = {"type": "string"}
        if name.endswith("[]"):
            kind = {"type": "array", "items": kind}
        found.append({"name": name, "in": "query", "description": sentence, "schema": kind})
    return found


def _responses(row: Endpoint) -> Document:
    if row.gives is not None:
        content: Document = {"application/json": {"schema": _ref(row.gives)}}
    else:
        content = {row.content_type: {"schema": {}}}
    responses: Document = {}
    if row.succeeds:
        responses["200"] = {"description": phrase_of(200), "content": content}
    if row.accepted:
        responses["202"] = {"description": "Accepted; it goes on.", "content": content}
    if row.refusal:
        responses[str(row.refusal)] = {"description": phrase_of(row.refusal), "content": content}
    sentences: dict[int, list[str]] = {}
    for error in row.errors:
        sentences.setdefault(error.status, []).append(_first_line(error))
    for status in sorted(sentences):
        responses[str(status)] = {
            "description": " ".join(sentences[status]),
            "content": {"application/json": {"schema": _ref(ErrorView)}},
        }
    return responses


def _first_line(error: type[Exception]) -> str:
    return (error.__doc__ or error.__name__).splitlines()[0]


def _ref(kind: Any) -> Document:
    """A reference to the schema of a struct, or an array of such references."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def schemas_of(rows: list[Endpoint]) -> Document:
    """The schemas of all structs the rows name, by name."""
    kinds: list[Any] = [ErrorView]
    kinds += [row.takes for row in rows if row.takes is not None]
    kinds += [row.gives for row in rows if row.gives is not None]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {name: _as_30(schema) for name, schema in sorted(components.items())}


def _as_30(schema: Any) -> Any:
    """A JSON Schema in OpenAPI 3.0's dialect, which has no null type.

    Absent values are left out of our answers, so a field that may be null is an optional one.
    """
    if isinstance(schema, list):
        return [_as_30(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_30(value) for key, value in schema.items()}
    for name in [n for n, value in schema.get("properties", {}).items() if _is_optional(value)]:
        converted["required"] = [n for n in converted.get("required", []) if n != name]
        converted["properties"][name] = _without_null(converted["properties"][name])
    if not converted.get("required", True):
        del converted["required"]
    return converted


def _is_optional(schema: Document) -> bool:
    return {"type": "null"} in schema.get("anyOf", [])


def _without_null(schema: Document) -> Document:
    kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**kinds[0], **schema} if len(kinds) == 1 else {"anyOf": kinds, **schema}


def _placeholders(path: str) -> list[str]:
    return [piece.partition("}")[0] for piece in path.split("{")[1:]]
