"""Write docs/reference/grpc-api.md from the tables of calls and the .proto files.

python tools/reference_grpc.py           # write the page
python tools/reference_grpc.py --check   # fail when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from protos import PROTOS, compiled

from flambeau.grpc.rpcs import INFERENCE, MANAGEMENT, Rpc, RpcService
from flambeau.grpc.server import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "grpc-api.md"
MADE = "<!-- Made by tools/reference_grpc.py. Change what it reads, not this page. -->"

PORTS = {
    INFERENCE: ("Inference", "`grpc_inference_address` and `grpc_inference_port`, 7070 as shipped"),
    MANAGEMENT: (
        "Management",
        "`grpc_management_address` and `grpc_management_port`, 7071 as shipped",
    ),
}
KEYS = {INFERENCE: "inference token", MANAGEMENT: "management token", "": "no token"}

INTRODUCTION = """\
The `.proto` files lie in `flambeau/grpc/protos` of the installed package; stubs that were generated
for TorchServe work unchanged. A server also describes itself by reflection, so that tools need no
file:

    grpcurl -plaintext localhost:7070 list
    grpcurl -plaintext -d '{"model_name": "digits", "input": {"data": "'"$(base64 -w0 zero.png)"'"}}' \\
        localhost:7070 org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions

A token travels as metadata `authorization: Bearer <key>`. A call that its client cancels, or whose
deadline passes, is taken off the queue; a handler that runs already can ask
`context.is_cancelled()`. A message may be as large as `max_request_size`; a larger one is answered
with RESOURCE_EXHAUSTED.

An error has a status of [the table of errors](errors.md) and a text of two lines: the sentence that
REST would send, and the class name of the original's exception. A PredictionException becomes the
status its number stands for: 400 INVALID_ARGUMENT, 401 UNAUTHENTICATED, 403 PERMISSION_DENIED, 404
NOT_FOUND, 409 ABORTED, 413 and 429 RESOURCE_EXHAUSTED, 416 OUT_OF_RANGE, 499 CANCELLED, 501
UNIMPLEMENTED, 503 UNAVAILABLE, 504 DEADLINE_EXCEEDED, other 4xx FAILED_PRECONDITION, other 5xx
INTERNAL. Every call carries its request id, by which the logs tell of it, in the trailing metadata
`x-request-id`."""

EVERYWHERE = """\
## On both ports

`grpc.health.v1.Health` says SERVING while every model has the workers it should have and every
start-up model answers, for the server (blank name) and for each service, and NOT_SERVING from the
moment the server begins to stop.
`grpc.reflection.v1alpha.ServerReflection` describes the services of the port. Both need no token."""


def comments(described: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The text above each thing in a file, by its place in the description."""
    return {
        tuple(each.path): " ".join(each.leading_comments.split())
        for each in described.source_code_info.location
        if each.leading_comments
    }


def service_lines(api: str, service: RpcService) -> Iterator[str]:
    """One service: its calls, then its messages."""
    described, _ = compiled(file_of(service), "--include_source_info")
    texts = comments(described)
    place, found = next(
        (place, each)
        for place, each in enumerate(described.service)
        if each.name == service.name.rpartition(".")[2]
    )
    rows = {rpc.name: rpc for rpc in service.rpcs}
    title, where = PORTS[api]
    yield f"## {title}: {service.name}"
    yield f"On {where}. Opened by: {KEYS[service.key]}."
    lines = ["| call | request | answer | what |", "|---|---|---|---|"]
    for number, method in enumerate(found.method):
        text = texts.get((6, place, 2, number), "")
        lines.append(
            f"| {method.name} | {kind(method.input_type, streams=method.client_streaming)} "
            f"| {kind(method.output_type, streams=method.server_streaming)} "
            f"| {text}{remark(rows[method.name])} |"
        )
    yield "\n".join(lines)
    for number, message in enumerate(described.message_type):
        yield f"### {message.name}"
        lines = ["| field | number | type | meaning |", "|---|---|---|---|"]
        maps = {each.name: each for each in message.nested_type if each.options.map_entry}
        for field_number, field in enumerate(message.field):
            entry = maps.get(field.type_name.rpartition(".")[2])
            text = texts.get((4, number, 2, field_number), "")
            lines.append(f"| {field.name} | {field.number} | {field_kind(field, entry)} | {text} |")
        yield "\n".join(lines)


def file_of(service: RpcService) -> str:
    """The .proto file that declares a service."""
    return next(
        path.name
        for path in sorted(PROTOS.glob("*.proto"))
        if f"package {service.name.rpartition('.')[0]};" in path.read_text()
    )


def remark(rpc: Rpc) -> str:
    """What holds for a call beside its text."""
    return " Needs `enable_model_api`." if rpc.changes_models else ""


def kind(type_name: str, *, streams: bool) -> str:
    """A message type as the page shows it."""
    name = type_name.removeprefix(".")
    short = name if name.startswith("google.") else name.rpartition(".")[2]
    return f"stream of {short}" if streams else short


def field_kind(field: FieldDescriptorProto, entry: DescriptorProto | None) -> str:
    """A field's type as the page shows it."""
    if entry is not None:
        key, value = entry.field
        return f"map of {field_kind(key, None)} to {field_kind(value, None)}"
    name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.type_name:
        name = kind(field.type_name, streams=False)
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    prefix = "repeated " if repeated else "optional " if field.proto3_optional else ""
    return f"{prefix}{name}"


def page() -> str:
    """The text of the page."""
    blocks = ["# gRPC API", MADE, INTRODUCTION]
    for api, services in SERVICES.items():
        for service in services:
            blocks += service_lines(api, service)
    return "\n\n".join([*blocks, EVERYWHERE]) + "\n"


def main() -> int:
    """The exit code."""
    text = page()
    if PAGE.is_file() and PAGE.read_text() == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.name} is out of date: run python tools/reference_grpc.py")
        return 1
    PAGE.write_text(text)
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
