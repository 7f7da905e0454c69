"""Who may import whom: our own layers by contract, foreign packages by place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "flambeau"

# Where each foreign package may be imported. A place is a folder or a file below src/flambeau.
FOREIGN = {
    "boto3": ["archive/s3.py"],
    "botocore": ["archive/s3.py"],
    "click": ["cli"],
    "cryptography": ["security/tls.py"],
    "google": ["grpc"],
    "grpc": ["grpc"],
    "grpc_health": ["grpc/health.py"],
    "grpc_reflection": ["grpc/reflection.py"],
    "httptools": ["http"],
    "javaproperties": ["config"],
    "msgspec": [
        "archive",
        "cli",
        "config",
        "control",
        "jobs",
        "logs",
        "metrics",
        "rest",
        "security",
        "tensors",
        "transport",
        "versions",
        "worker",
    ],
    "psutil": ["cli", "metrics/system.py", "worker/machine.py"],
    "pynvml": ["metrics/system.py", "worker/machine.py"],
    "python_multipart": ["rest/payload.py"],
    "requests": ["archive", "cli", "compat/launcher.py"],
    "rich": ["cli"],
    "urllib3": ["archive"],
    "uvloop": ["parts.py"],
    "yaml": [
        "archive/model_config.py",
        "archive/war.py",
        "metrics/definitions.py",
        "worker/loading.py",
        "worker/metric_file.py",
        "compat/functions.py",
    ],
}
# Only default handlers may use these; they are imported in worker processes, never in the server.
HANDLERS_ONLY = {
    "captum",
    "deepspeed",
    "numpy",
    "nvidia",
    "onnxruntime",
    "PIL",
    "pippy",
    "tensorrt_llm",
    "torch",
    "torch_xla",
    "torchtext",
    "torchvision",
    "transformers",
    "vllm",
}


def foreign_imports(path: Path) -> set[str]:
    """Top-level names imported anywhere in a file that are neither ours nor the standard library's."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names}
    return tops - sys.stdlib_module_names - {"flambeau"}


def allowed(name: str, path: Path) -> bool:
    place = path.relative_to(PACKAGE)
    if name in HANDLERS_ONLY:
        return place.parts[0] == "handlers"
    return any(place.is_relative_to(each) for each in FOREIGN.get(name, [])) or (
        place.parts[0] == "handlers" and name in {"yaml", "requests"}
    )


def test_layers_point_down() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_foreign_packages_are_imported_only_in_their_places() -> None:
    misplaced = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in sorted(foreign_imports(path))
        if not allowed(name, path)
    ]
    assert misplaced == []


def test_every_line_of_the_table_is_used() -> None:
    used = {name for path in PACKAGE.rglob("*.py") for name in foreign_imports(path)}
    assert set(FOREIGN) - used == set()


@pytest.mark.parametrize(
    "program",
    [
        "flambeau.server",
        "flambeau.cli.run",
        "flambeau.cli.torchserve_command",
        "flambeau.cli.serve",
        "flambeau.cli.model_archiver",
    ],
)
def test_a_server_program_imports_nothing_that_belongs_to_handlers(program: str) -> None:
    unwanted = sorted(HANDLERS_ONLY | {"flambeau.worker", "flambeau.handlers", "ts"})
    code = f"import sys, {program}; print([each for each in {unwanted} if each in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    assert done.stdout.strip() == "[]"


def test_a_light_worker_imports_neither_the_server_nor_what_it_does_not_need() -> None:
    unwanted = sorted(
        HANDLERS_ONLY
        | {
            "asyncio",
            "click",
            "httptools",
            "psutil",
            "requests",
            "rich",
            "yaml",
        }
    )
    code = (
        "import sys, flambeau.worker.loop; "
        f"print([each for each in {unwanted} if each in sys.modules], "
        "[each for each in sys.modules if each.startswith('flambeau.') and each.split('.')[1] "
        "not in ('worker', 'transport', 'errors')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    assert done.stdout.strip() == "[] []"
