"""A real worker process and a small server side to talk to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau.errors import Failure
from flambeau.transport import frames
from flambeau.transport.messages import (
    Cancel,
    JobHead,
    Load,
    Message,
    PartHead,
    Ping,
    Predict,
    Replies,
    ReplyHead,
    Stop,
    WorkerSettings,
    pack_headers,
)

SOURCE = str(Path(flambeau.__file__).parent.parent)
SETTINGS = WorkerSettings.__struct_fields__


class Answer:
    """One reply with its body."""

    def __init__(self, head: ReplyHead, body: bytes) -> None:
        self.head = head
        self.body = body
        self.status = head.status
        self.failed = bool(head.failure)
        self.failure = Failure(head.failure)
        self.more = head.more
        self.headers = dict(head.headers)


class Worker:
    """A worker process and the server's end of its socket."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.reader = ours.makefile("rb")
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
        environment["PYTHONPATH"] = os.pathsep.join([SOURCE, variables.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flambeau.worker", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        self.output = ""
        self.errors = ""
        self.next_id = 1

    def send(self, message: Message, blobs: list[bytes] | tuple[bytes, ...] = ()) -> None:
        self.socket.sendall(frames.frame(message, blobs))

    def receive(self) -> tuple[Any, bytes]:
        header = self.reader.read(frames.HEADER_SIZE)
        if not header:
            raise EOFError("the worker closed the socket")
        kind, metadata, blobs = frames.sizes(header)
        return frames.decode(kind, self.reader.read(metadata)), self.reader.read(blobs)

    def load(self, handler: str, **fields: Any) -> Any:
        """What it answers to a Load; ``fields`` are those of Load and of WorkerSettings."""
        told = {name: fields.pop(name) for name in SETTINGS if name in fields}
        given: dict[str, Any] = {
            "model_name": "m",
            "model_version": "1.0",
            "model_dir": str(self.folder),
            "handler": handler,
            "batch_size": 8,
            "gpu_id": None,
            "manifest": {"model": {"modelName": "m"}},
            "model_yaml_config": {},
            "worker_name": "W-9000-m_1.0",
            "settings": WorkerSettings(**told),
            **fields,
        }
        self.send(Load(**given))
        return self.receive()[0]

    def post(self, *rows: dict[str, tuple[str, bytes]], headers: Any = ()) -> list[int]:
        """Send one batch; each row is name -> (content type, value)."""
        jobs, blobs, ids = [], [], []
        for row in rows:
            parts = [PartHead(name, kind, len(value)) for name, (kind, value) in row.items()]
            blobs += [value for _, value in row.values()]
            jobs.append(
                JobHead(self.next_id, f"request-{self.next_id}", pack_headers(headers), parts)
            )
            ids.append(self.next_id)
            self.next_id += 1
        self.send(Predict(jobs), blobs)
        return ids

    def replies(self) -> tuple[Replies, list[Answer]]:
        message, blob = self.receive()
        assert isinstance(message, Replies), message
        answers, at = [], 0
        for head in message.replies:
            answers.append(Answer(head, blob[at : at + head.size]))
            at += head.size
        assert at == len(blob)
        return message, answers

    def predict(self, *bodies: bytes, kind: str = "", headers: Any = ()) -> list[Answer]:
        """Send one batch of single ``body`` inputs and wait for its answers."""
        self.post(*[{"body": (kind, body)} for body in bodies], headers=headers)
        return self.replies()[1]

    def cancel(self, *ids: int) -> None:
        self.send(Cancel(list(ids)))

    def ping(self) -> Any:
        self.send(Ping())
        return self.receive()[0]

    def stop(self) -> int:
        """Ask for the end, collect the output, return the exit code."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.send(Stop())
        return self.wait()

    def wait(self) -> int:
        out, err = self.process.communicate(timeout=30)
        self.output += out
        self.errors += err
        return self.process.returncode

    def close(self) -> None:
        self.reader.close()
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def archive(tmp_path):
    """A function that writes files into an unpacked archive and returns its folder."""
    folder = tmp_path / "archive"
    folder.mkdir()

    def write(**files: str) -> Path:
        for name, text in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def bare_worker(archive):
    """A function that starts a worker, with variables of its own, and loads nothing."""
    started: list[Worker] = []

    def start(environment: dict[str, str] | None = None) -> Worker:
        started.append(Worker(archive(), environment or {}))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def worker(archive, bare_worker):
    """A function that starts a worker on a handler's source and loads it."""

    def start(
        source: str | None = None,
        *,
        handler: str = "handler_under_test.py",
        environment: dict[str, str] | None = None,
        **load: Any,
    ):
        if source is not None:
            archive(handler_under_test=source)
        one = bare_worker(environment)
        one.loaded = one.load(handler, **load)
        return one

    return start
