"""The examples of three published texts on managing TorchServe, typed as they stand there.

Only addresses differ: the ports of the server under test, and a local host in place of the one the
archives were downloaded from. The scripts that use ``ts.launcher`` are in test_seeds_launcher.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from watching import until

from tests.running import write_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.running import LiveServer

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

LIMIT = 60
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
CUSTOMIZED = """
class Customized:
    def initialize(self, context):
        self.context = context

    def describe_handle(self):
        return {"data1": "1", "data2": "2"}

    def _is_describe(self):
        if self.context and self.context.get_request_header(0, "describe"):
            if self.context.get_request_header(0, "describe") == "True":
                return True
        return False

    def handle(self, data, context):
        if self._is_describe():
            output = [self.describe_handle()]
        else:
            output = ["ok"] * len(data)
        return output
"""
PUBLISHED = "https://torchserve.pytorch.org"


class Quiet(SimpleHTTPRequestHandler):
    """Files of one folder, told to nobody."""

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def published(tmp_path: Path) -> Iterator[str]:
    """The address of a host with the archives under ``mar_files`` and ``sse-test``."""
    folder = tmp_path / "published"
    for place in ("mar_files", "sse-test"):
        write_archive(folder / place / "squeezenet1_1.mar", {"h.py": ECHO}, handler="h")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{host.server_port}"
        host.shutdown()
        thread.join()


class Typist:
    """Types commands into a shell, with the addresses of one server."""

    def __init__(self, server: LiveServer, published: str = PUBLISHED) -> None:
        self.server = server
        self.places = {
            "localhost:8081": server.management.removeprefix("http://"),
            "localhost:8080": server.inference.removeprefix("http://"),
            PUBLISHED: published,
        }

    def types(self, command: str) -> tuple[str, str]:
        """What the command prints: the body, and what ``-v`` tells."""
        for old, new in self.places.items():
            command = command.replace(old, new)
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=LIMIT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def asks(self, command: str) -> Any:
        return json.loads(self.types(command)[0])

    def says(self, command: str, status: str) -> None:
        """The command is answered by this sentence."""
        assert self.asks(command) == {"status": status}

    def shows(self, command: str, told: str) -> None:
        """The command shows these headers and this body, but for the request id."""
        body, verbose = self.types(command)
        head, _, shown = told.strip("\n").partition("\n{")
        lines = [line.rstrip() for line in verbose.splitlines() if line.startswith("<")]
        for line in head.splitlines():
            if line.startswith("< x-request-id"):
                assert any(re.fullmatch(r"< x-request-id: [0-9a-f-]{36}", each) for each in lines)
            else:
                assert line.rstrip() in lines
        assert body == "{" + shown + "\n"

    def ready(self, model: str, workers: int) -> None:
        target = f"{self.server.management}/models/{model}"

        def statuses() -> list[str]:
            found = self.server.client.get(target).json()[0]["workers"]
            return [worker["status"] for worker in found]

        until(lambda: statuses() == ["READY"] * workers, f"{model} has {workers} workers")


def put(server: LiveServer, file: str, name: str, version: str = "1.0", source: str = ECHO) -> None:
    write_archive(server.store / file, {"h.py": source}, handler="h", name=name, version=version)


MODELS = ("mpt_7b", "falcon_7b", "llama2_7b")


def test_management_requests_of_an_inference_server(serve: Callable[..., LiveServer]) -> None:
    server = serve()
    typist = Typist(server)
    for name in MODELS:
        put(server, f"{name}.mar", name)
    assert typist.asks("curl http://localhost:8081/models") == {"models": []}
    for name in MODELS:
        typist.says(
            f'curl -X POST "http://localhost:8081/models?url={name}.mar'
            '&initial_workers=1&synchronous=true"',
            f'Model "{name}" Version: 1.0 registered with 1 initial workers',
        )
    listed = typist.asks("curl http://localhost:8081/models")["models"]
    assert [each["modelName"] for each in listed] == sorted(MODELS)
    for name in MODELS:
        [described] = typist.asks(f"curl http://localhost:8081/models/{name}")
        assert described["modelUrl"] == f"{name}.mar"
        assert described["loadedAtStartup"] is False
        [worker] = described["workers"]
        assert list(worker) == [
            *("id", "startTime", "status", "memoryUsage", "pid", "gpu", "gpuUsage"),
        ]
        assert worker["status"] == "READY"
        assert set(described["jobQueueStatus"]) == {"remainingCapacity", "pendingRequests"}
    for name in MODELS:
        told = '\n< HTTP/1.1 202 Accepted\n{\n  "status": "Processing worker updates..."\n}'
        typist.shows(
            f'curl -v -X PUT "http://localhost:8081/models/{name}?min_worker=2&max_worker=2"', told
        )
        typist.ready(name, 2)
    typist.shows(
        'curl -v -X PUT "http://localhost:8081/models/mpt_7b'
        '?min_workers=1&max_workers=1&batch_size=4&max_batch_delay=50"',
        told,
    )
    typist.ready("mpt_7b", 1)
    [described] = typist.asks("curl http://localhost:8081/models/mpt_7b")
    assert (described["minWorkers"], described["maxWorkers"]) == (1, 1)
    assert (described["batchSize"], described["maxBatchDelay"]) == (4, 50)
    typist.says(
        'curl -X DELETE "http://localhost:8081/models/mpt_7b/1.0"', 'Model "mpt_7b" unregistered'
    )


def described_fields(version: dict[str, Any]) -> set[str]:
    return set(version) | set(version["workers"][0]) | set(version["jobQueueStatus"])


EXAMPLE_FIELDS = {
    *("modelName", "modelVersion", "modelUrl", "runtime", "minWorkers", "maxWorkers"),
    *("batchSize", "maxBatchDelay", "workers", "id", "startTime", "status", "gpu", "memoryUsage"),
    *("jobQueueStatus", "remainingCapacity", "pendingRequests"),
}


def test_the_curl_examples_of_the_management_page(
    serve: Callable[..., LiveServer], published: str
) -> None:
    server = serve(settings={"allowed_urls": f"{published}/.*"})
    typist = Typist(server, published)
    typist.says(
        'curl -X POST  "http://localhost:8081/models?url=https://torchserve.pytorch.org/mar_files/squeezenet1_1.mar"',
        'Model "squeezenet1_1" Version: 1.0 registered with 1 initial workers',
    )
    typist.says(
        "curl -X DELETE http://localhost:8081/models/squeezenet1_1/1.0",
        'Model "squeezenet1_1" unregistered',
    )
    typist.shows(
        'curl -v -X POST "http://localhost:8081/models?initial_workers=1&synchronous=false&url=https://torchserve.pytorch.org/mar_files/squeezenet1_1.mar"',
        """
< HTTP/1.1 202 Accepted
< content-type: application/json
< x-request-id: 4dc54158-c6de-42aa-b5dd-ebcb5f721043
< content-length: 47
< connection: keep-alive
{
  "status": "Processing worker updates..."
}""",
    )
    typist.says(
        "curl -X DELETE http://localhost:8081/models/squeezenet1_1/1.0",
        'Model "squeezenet1_1" unregistered',
    )
    typist.shows(
        'curl -v -X POST "http://localhost:8081/models?initial_workers=1&synchronous=true&url=https://torchserve.pytorch.org/mar_files/squeezenet1_1.mar"',
        """
< HTTP/1.1 200 OK
< content-type: application/json
< x-request-id: ecd2e502-382f-4c3b-b425-519fbf6d3b85
< content-length: 89
< connection: keep-alive
{
  "status": "Model \\"squeezenet1_1\\" Version: 1.0 registered with 1 initial workers"
}""",
    )


def test_a_registration_without_workers_is_told_to_scale(
    serve: Callable[..., LiveServer], published: str
) -> None:
    server = serve(settings={"allowed_urls": f"{published}/.*", "default_workers_per_model": "0"})
    Typist(server, published).says(
        'curl -X POST "http://localhost:8081/models?url=https://torchserve.pytorch.org/mar_files/squeezenet1_1.mar"',
        'Model "squeezenet1_1" Version: 1.0 registered with 0 initial workers. '
        "Use scale workers API to add workers for the model.",
    )


def with_noop(server: LiveServer) -> Typist:
    put(server, "noop.mar", "noop")
    put(server, "noop_2.mar", "noop", "2.0")
    for file in ("noop.mar", "noop_2.mar"):
        assert server.register(file).status_code == 200
    return Typist(server)


# The page shows the length of an older sentence here; it is the one header that is not compared.
SCALED = """
< HTTP/1.1 200 OK
< content-type: application/json
< x-request-id: {id}
< connection: keep-alive
{{
  "status": "Workers scaled to 3 for model: noop{named}"
}}"""


def test_scaling_and_versions_of_the_management_page(serve: Callable[..., LiveServer]) -> None:
    typist = with_noop(serve())
    typist.shows(
        'curl -v -X PUT "http://localhost:8081/models/noop?min_worker=3"',
        """
< HTTP/1.1 202 Accepted
< content-type: application/json
< x-request-id: 42adc58e-6956-4198-ad07-db6c620c4c1e
< content-length: 47
< connection: keep-alive
{
  "status": "Processing worker updates..."
}""",
    )
    typist.shows(
        'curl -v -X PUT "http://localhost:8081/models/noop?min_worker=3&synchronous=true"',
        SCALED.format(id="b72b1ea0-81c6-4cce-92c4-530d3cfe5d4a", named=""),
    )
    typist.shows(
        'curl -v -X PUT "http://localhost:8081/models/noop/2.0?min_worker=3&synchronous=true"',
        SCALED.format(id="3997ccd4-ae44-4570-b249-e361b08d3d47", named=", version: 2.0"),
    )
    for target, versions in (
        ("noop", ["1.0"]),
        ("noop/2.0", ["2.0"]),
        ("noop/all", ["1.0", "2.0"]),
    ):
        described = typist.asks(f"curl http://localhost:8081/models/{target}")
        assert sorted(each["modelVersion"] for each in described) == versions
        for each in described:
            assert described_fields(each) >= EXAMPLE_FIELDS
            assert (
                each["modelUrl"] == {"1.0": "noop.mar", "2.0": "noop_2.mar"}[each["modelVersion"]]
            )
    assert typist.asks("curl -v -X PUT http://localhost:8081/models/noop/2.0/set-default") == {
        "status": 'Default version successfully updated for model "noop" to "2.0"'
    }
    typist.says("curl -X DELETE http://localhost:8081/models/noop/1.0", 'Model "noop" unregistered')


def test_listing_and_descriptions_of_the_management_page(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve()
    typist = with_noop(server)
    put(server, "noop-customized.mar", "noop-customized", source=CUSTOMIZED)
    for name in ("a", "b", "noop_v0.1"):
        put(server, f"{name}.mar", name)
        assert server.register(f"{name}.mar", initial_workers=0).status_code == 200
    assert server.register("noop-customized.mar").status_code == 200
    assert len(typist.asks('curl "http://localhost:8081/models"')["models"]) == 5
    page = typist.asks('curl "http://localhost:8081/models?limit=2&next_page_token=2"')
    assert page == {
        "nextPageToken": "4",
        "models": [
            {"modelName": "noop", "modelUrl": "noop.mar"},
            {"modelName": "noop-customized", "modelUrl": "noop-customized.mar"},
        ],
    }
    for target in ("noop-customized/1.0?customized=true", "noop-customized/?customized=true"):
        [described] = typist.asks(f"curl http://localhost:8081/models/{target}")
        assert described["customizedMetadata"] == {"data1": "1", "data2": "2"}
    for port, path in (("8080", "/predictions/{model_name}"), ("8081", "/models/{model_name}")):
        document = typist.asks(f"curl -X OPTIONS http://localhost:{port}")
        assert document["openapi"].startswith("3.0")
        assert path in document["paths"]


def test_the_token_calls_of_the_management_page(serve: Callable[..., LiveServer]) -> None:
    server = serve(settings={"disable_token_authorization": "false"})
    typist = Typist(server)

    def keys() -> dict[str, Any]:
        return dict(json.loads((server.folder / "key_file.json").read_text()))

    before = keys()
    for kind in ("management", "inference"):
        typist.types(
            f'curl localhost:8081/token?type={kind} -H "Authorization: Bearer '
            f'{before["API"]["key"]}"'
        )
        after = keys()
        assert after[kind]["key"] != before[kind]["key"]
        assert after[kind]["expiration time"] >= before[kind]["expiration time"]
