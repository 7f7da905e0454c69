"""Settings a server cannot start with: a sentence with the remedy, exit code 1, no traceback."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from raw_http import wire

from tests.running import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LiveServer

LIMIT = 60


def failed_start(folder: Path, environment: dict[str, str] | None = None, **settings: str) -> str:
    """What a server with ``settings`` says before it ends with 1; no traceback among it."""
    (folder / "store").mkdir(exist_ok=True)
    (folder / "temp").mkdir(exist_ok=True)
    free = {
        f"{name}_address": "http://127.0.0.1:0" for name in ("inference", "management", "metrics")
    }
    values = {**free, "grpc_inference_port": "0", "grpc_management_port": "0", **settings}
    (folder / "config.properties").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    command = [sys.executable, "-m", "flambeau.cli.run", "--ncs", "--model-store", "store"]
    temp = str(folder / "temp")
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"TEMP": temp, "TMPDIR": temp} | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "Model server started." not in said
    assert list((folder / "temp").glob("flambeau-*")) == []
    return done.stderr


@pytest.fixture
def without_cryptography(tmp_path: Path) -> dict[str, str]:
    """An environment in which the extra for certificates is not installed."""
    folder = tmp_path / "hidden" / "cryptography"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('not installed')\n")
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder.parent), *([known] if known else [])])}


def test_https_without_certificate_or_the_extra_names_both_remedies(
    tmp_path: Path, without_cryptography: dict[str, str]
) -> None:
    said = failed_start(tmp_path, without_cryptography, inference_address="https://127.0.0.1:0")
    assert "certificate_file" in said
    assert "private_key_file" in said
    assert "flambeau[tls]" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"certificate_file": "absent.pem"}, ["private_key_file"]),
        (
            {"certificate_file": "absent.pem", "private_key_file": "absent.key"},
            ["certificate_file", "absent.pem", "cannot be read"],
        ),
        (
            {"certificate_file": "config.properties", "private_key_file": "config.properties"},
            ["not in PEM form"],
        ),
        ({"keystore": "absent.p12"}, ["keystore", "absent.p12", "cannot be read"]),
        ({"keystore": "config.properties"}, ["keystore", "PKCS12"]),
        ({"keystore": "config.properties", "keystore_type": "JKS"}, ["keytool"]),
    ],
    ids=[
        "half a pair",
        "no files",
        "no certificate",
        "no keystore",
        "no PKCS12",
        "a Java keystore",
    ],
)
def test_certificate_settings_that_do_not_work_are_named(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    said = failed_start(tmp_path, management_address="https://127.0.0.1:0", **settings)
    for word in words:
        assert word in said


def test_grpc_over_tls_without_certificate_is_told_too(
    tmp_path: Path, without_cryptography: dict[str, str]
) -> None:
    said = failed_start(tmp_path, without_cryptography, enable_grpc_ssl="true")
    assert "certificate_file" in said


@pytest.mark.skipif(
    importlib.util.find_spec("cryptography") is None, reason="needs the extra flambeau[tls]"
)
def test_https_without_certificate_makes_one_where_it_can(
    serve: Callable[..., LiveServer],
) -> None:
    (port,) = free_ports(1)
    server = serve(settings={"inference_address": f"https://127.0.0.1:{port}"})
    answer = httpx.get(f"{server.inference}/ping", verify=False)
    assert answer.json() == {"status": "Healthy"}


@pytest.mark.parametrize("name", ["inference_address", "management_address", "metrics_address"])
def test_a_port_that_is_taken_is_named(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = failed_start(tmp_path, **{name: address})
    assert f"Failed to bind to address: {address}" in said


def test_a_grpc_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failed_start(tmp_path, grpc_inference_port=str(port))
    assert str(port) in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"job_queue_size": "many"}, ["job_queue_size=many", "config.properties:"]),
        ({"inference_address": "ftp://here"}, ["inference_address=ftp://here"]),
        ({"allowed_urls": "("}, ["allowed_urls"]),
        ({"blacklist_env_vars": "("}, ["blacklist_env_vars"]),
        ({"drain_timeout": "-1"}, ["drain_timeout=-1"]),
        ({"models": "{"}, ["models={"]),
        ({"tokens_file": "absent.json"}, ["absent.json"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_value_without_sense_is_named_with_its_line(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    said = failed_start(tmp_path, **settings)
    for word in words:
        assert word in said


async def test_a_client_that_speaks_http_to_https_is_told(serve: Callable[..., LiveServer]) -> None:
    (port,) = free_ports(1)
    server = serve(settings={"inference_address": f"https://127.0.0.1:{port}"})
    async with wire(server.inference) as plain:
        reply = await plain.ask("GET", "/ping")
    assert (reply.status, reply.json()) == (
        403,
        {"status": "This TorchServe instance only accepts HTTPS requests"},
    )
