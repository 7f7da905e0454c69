"""Write src/flambeau/grpc/*_pb2.py and *_pb2.pyi from the .proto files beside them.

python tools/protos.py           # write the modules
python tools/protos.py --check   # fail, naming the module, when one is out of date

The modules hold no more than the compiled description: classes are built from it when they are
imported, so that they work with every protobuf release the project allows, whatever release the
compiler came with.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import google.rpc
import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

FOLDER = Path(__file__).parents[1] / "src" / "flambeau" / "grpc"
PROTOS = FOLDER / "protos"
BUNDLED = Path(grpc_tools.__path__[0]) / "_proto"
SHARED = Path(google.rpc.__path__[0]).parents[1]
"""Where google/rpc/*.proto lie."""
OURS = "flambeau/grpc/protos/"
WIDTH = 72

MODULE = '''"""Messages of {proto}. Made by tools/protos.py: change the .proto file, not this one."""

from google.protobuf import descriptor_pool as _pool
from google.protobuf import message_factory as _factory
{imports}
DESCRIPTOR = _pool.Default().AddSerializedFile(
{description}
)
{classes}
'''


def compiled(proto: str, *flags: str) -> tuple[FileDescriptorProto, str]:
    """The description of one file and its type stub. Exits when the compiler refuses it.

    ``flags`` are further ones of the compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder, "set")
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={PROTOS}",
                f"--proto_path={BUNDLED}",
                f"--proto_path={SHARED}",
                f"--descriptor_set_out={description}",
                f"--pyi_out={folder}",
                *flags,
                proto,
            ]
        )
        if code:
            sys.exit(code)
        found = FileDescriptorSet.FromString(description.read_bytes())
        stub = Path(folder, f"{Path(proto).stem}_pb2.pyi").read_text()
    stub = stub.replace("_Mapping]", "_Mapping[str, object]]")  # bare generics are not strict
    return found.file[0], stub


def module_of(described: FileDescriptorProto, proto: str) -> str:
    """The text of the module for one description."""
    # Our names in the pool must not meet those of clients that live in the same process.
    described.name = f"{OURS}{proto}"
    for at, dependency in enumerate(described.dependency):
        if (PROTOS / dependency).is_file():
            described.dependency[at] = f"{OURS}{dependency}"
    content = described.SerializeToString(deterministic=True)
    lines = [f"    {content[at : at + WIDTH]!r}" for at in range(0, len(content), WIDTH)]
    classes = [
        f'{message.name} = _factory.GetMessageClass(DESCRIPTOR.message_types_by_name["{message.name}"])'
        for message in described.message_type
    ]
    return MODULE.format(
        proto=proto,
        imports="".join(f"{_import(each)}\n" for each in sorted(described.dependency)),
        description="\n".join(lines),
        classes="\n".join(classes),
    )


def _import(dependency: str) -> str:
    module = dependency.replace(OURS, "flambeau/grpc/").removesuffix(".proto")
    package, _, name = module.replace("/", ".").rpartition(".")
    return f"from {package} import {name}_pb2 as _{name}_pb2  # noqa: F401 - its names are needed"


def outputs() -> dict[Path, str]:
    """What every made file should hold."""
    made = {}
    for path in sorted(PROTOS.glob("*.proto")):
        described, stub = compiled(path.name)
        stem = FOLDER / f"{path.stem}_pb2"
        made[stem.with_suffix(".py")] = module_of(described, path.name)
        stub = re.sub(
            r"^import (?=\w+_pb2 as)", "from flambeau.grpc import ", stub, flags=re.MULTILINE
        )
        made[stem.with_suffix(".pyi")] = f"# Made by tools/protos.py.\n{stub}"
    return made


def main() -> int:
    """The exit code."""
    check = "--check" in sys.argv[1:]
    stale = 0
    for path, text in outputs().items():
        if path.is_file() and path.read_text() == text:
            continue
        stale += 1
        if check:
            print(f"{path.name} is out of date: run python tools/protos.py")
        else:
            path.write_text(text)
            print(f"wrote {path}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
