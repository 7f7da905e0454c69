"""The control plane with a real store and real workers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import monotonic

import pytest

from flambeau.archive.store import ModelStore, StartupEntry
from flambeau.control import model as models
from flambeau.control.plane import ControlPlane
from flambeau.control.requests import (
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.control.snapshot import SavedVersion
from flambeau.control.spec import Defaults, both
from flambeau.control.views import plain
from flambeau.errors import (
    BadRequest,
    Conflict,
    FlambeauError,
    HandlerFailed,
    InternalError,
    InvalidModel,
    ModelNotFound,
    ModelVersionNotFound,
    NoWorker,
    QueueFull,
    ShuttingDown,
    StillLoading,
    Unavailable,
    WorkersFailing,
    WorkerStartFailed,
)
from flambeau.jobs.job import Job, Part
from flambeau.supervision import slot as slots
from flambeau.transport.messages import NO_HEADERS
from tests.unit.conftest import eventually

pytestmark = pytest.mark.usefixtures("loud_loop")

HANDLER = """
import json, os, time
MARKS = {marks!r}

def marked(name):
    return os.path.exists(os.path.join(MARKS, name))

def wait_while(name):
    if marked(name):
        open(os.path.join(MARKS, name + ".met"), "w").close()
    while marked(name):
        time.sleep(0.001)

def handle(data, context):
    if data is None:
        wait_while("slow")
        if marked("broken"):
            raise RuntimeError("no weights")
        return None
    if context.get_request_header(0, "describe"):
        if marked("raise"):
            raise ValueError("no words")
        with open(os.path.join(MARKS, "words")) as file:
            return [file.read()]
    wait_while("held")
    size = context.system_properties["batch_size"]
    return [f"{{os.getpid()}} {{len(data)}} {{size}}"] * len(data)
"""


class Desk:
    """A plane, the folder of marks its handlers look at, and short ways to use both."""

    def __init__(self, plane: ControlPlane, marks: Path, temp: Path) -> None:
        self.plane = plane
        self.marks = marks
        self.temp = temp

    def mark(self, name: str, text: str = "") -> Path:
        path = self.marks / name
        path.with_name(f"{name}.met").unlink(missing_ok=True)
        path.write_text(text)
        return path

    async def met(self, mark: Path) -> None:
        """Returns once a handler waits for ``mark`` to go."""
        await eventually(mark.with_name(f"{mark.name}.met").exists)

    async def register(self, url: str = "m.mar", **fields):
        return await self.plane.register(RegisterModel(url=url, **fields))

    async def scale(self, least: int, most: int | None = None, **fields):
        fields = {"model_name": "m", "synchronous": True} | fields
        return await self.plane.scale(ScaleWorkers(min_worker=least, max_worker=most, **fields))

    async def unregister(self, version: str | None = None):
        return await self.plane.unregister(UnregisterModel(model_name="m", model_version=version))

    def ask(self, version: str | None = None) -> asyncio.Future:
        answered = asyncio.get_running_loop().create_future()
        job = Job("r", NO_HEADERS, [Part("body", "", [b"x"])], lambda _, a: answered.set_result(a))
        self.plane.submit("m", version, job)
        return answered

    async def described(self, **fields):
        found = await self.plane.describe(DescribeModel(model_name="m", **fields))
        return [plain(view) for view in found]

    def version(self, number: str | None = None):
        return self.plane._registry.find("m", number)

    def unpacked(self) -> list[str]:
        """Folders of registrations that are still there."""
        folder = self.temp / "models"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
async def desk(tmp_path, pack, workshop, metrics):
    marks, temp = tmp_path / "marks", tmp_path / "temp"
    marks.mkdir()
    temp.mkdir()
    for name, title, number in (
        ("m.mar", "m", "1.0"),
        ("other.mar", "m", "1.0"),
        ("m2.mar", "m", "2.0"),
        ("n.mar", "n", "1.0"),
        ("p.mar", "p", "1.0"),
    ):
        source = HANDLER.format(marks=str(marks))
        pack(name, {"h.py": source}, handler="h.py", version=number, model={"modelName": title})
    shop, _ = workshop(forked=True)
    store = ModelStore(tmp_path / "archives", temp)
    plane = ControlPlane(store, shop, metrics, Defaults(both(1)), unregister_timeout=20.0)
    one = Desk(plane, marks, temp)
    yield one
    for name in ("held", "slow"):
        (marks / name).unlink(missing_ok=True)
    await plane.stop(5.0)
    await shop.launcher.close()
    assert one.unpacked() == []
    assert not plane._lives._tasks
    assert not plane._lives._closing


# -- the ordinary way


async def test_from_archive_to_answer_and_back(desk):
    outcome = await desk.register(initial_workers=2, batch_size=3)
    assert not outcome.accepted
    assert outcome.view.status == 'Model "m" Version: 1.0 registered with 2 initial workers'
    assert desk.plane.healthy()
    assert desk.plane.model_ready("m")
    assert len(desk.plane.worker_pids()) == 2
    assert (await desk.ask()).body.split()[1:] == [b"1", b"3"]
    assert (await desk.ask("1.0")).error is None
    outcome = await desk.unregister()
    assert outcome.view.status == 'Model "m" unregistered'
    assert desk.unpacked() == []
    with pytest.raises(ModelNotFound):
        desk.ask()


async def test_without_workers_it_says_so(desk):
    outcome = await desk.register(initial_workers=0)
    assert outcome.view.status == (
        'Model "m" Version: 1.0 registered with 0 initial workers. Use scale workers API to add '
        "workers for the model."
    )
    with pytest.raises(NoWorker) as raised:
        desk.ask()
    assert str(raised.value).startswith('Model "m" has no worker to serve inference request.')
    with pytest.raises(NoWorker, match=r'Model "m" Version 1\.0" has no worker'):
        desk.ask("1.0")
    assert not desk.plane.model_ready("m")
    assert desk.plane.healthy()


async def test_asynchronous_answers_at_once(desk):
    slow = desk.mark("slow")
    outcome = await desk.register(synchronous=False)
    assert outcome.accepted
    assert outcome.view.status == "Processing worker updates..."
    waiting = desk.ask()
    await desk.met(slow)
    assert not waiting.done()
    slow.unlink()
    assert (await waiting).error is None


FIELDS = [
    "modelName",
    "modelVersion",
    "modelUrl",
    "runtime",
    "minWorkers",
    "maxWorkers",
    "batchSize",
    "maxBatchDelay",
    "responseTimeout",
    "startupTimeout",
    "maxRetryTimeoutInSec",
    "clientTimeoutInMills",
    "parallelType",
    "parallelLevel",
    "deviceType",
    "continuousBatching",
    "useJobTicket",
    "useVenv",
    "stateful",
    "sequenceMaxIdleMSec",
    "sequenceTimeoutMSec",
    "maxNumSequence",
    "maxSequenceJobQueueSize",
    "loadedAtStartup",
    "workers",
    "jobQueueStatus",
]


async def test_describe_shows_the_fields_of_the_contract_in_order(desk):
    await desk.register()
    (view,) = await desk.described()
    assert list(view) == FIELDS
    (worker,) = view["workers"]
    assert list(worker) == [
        *("id", "startTime", "status", "memoryUsage", "pid", "gpu", "gpuUsage"),
    ]
    assert worker["id"] == "9000"
    assert worker["status"] == "READY"
    assert worker["pid"] == desk.plane.worker_pids()[0]
    assert worker["memoryUsage"] > 1_000_000
    assert (worker["gpu"], worker["gpuUsage"]) == (False, "N/A")
    assert len(worker["startTime"]) == len("2026-11-22T11:01:44.276Z")
    assert view["jobQueueStatus"] == {"remainingCapacity": 100, "pendingRequests": 0}
    assert (view["maxRetryTimeoutInSec"], view["maxNumSequence"], view["stateful"]) == (
        300,
        0,
        False,
    )


async def test_describe_counts_who_waits(desk):
    await desk.register()
    held = desk.mark("held")
    asked = [desk.ask() for _ in range(4)]
    await desk.met(held)
    (view,) = await desk.described()
    assert view["jobQueueStatus"] == {"remainingCapacity": 97, "pendingRequests": 3}
    held.unlink()
    await asyncio.gather(*asked)


async def test_describe_shows_a_worker_in_trouble(desk):
    desk.mark("broken")
    await desk.register(synchronous=False)
    slot = desk.version().slots[0]
    await asyncio.wait({slot.loaded})
    (view,) = await desk.described()
    (worker,) = view["workers"]
    assert worker["status"] == "UNLOADING"
    assert (worker["state"], worker["tries"]) == ("failed", 1)
    assert worker["cause"] == "RuntimeError: no weights (h.py:18)"
    assert worker["nextTry"].endswith("Z")
    assert worker["pid"] == -1
    assert worker["memoryUsage"] == 0


async def test_all_versions_are_described_and_chosen_by_number(desk):
    await desk.register("m.mar")
    await desk.register("m2.mar", initial_workers=0)
    assert {view["modelVersion"] for view in await desk.described(all_versions=True)} == {
        "1.0",
        "2.0",
    }
    assert (await desk.described(model_version="2.0"))[0]["modelVersion"] == "2.0"
    assert (await desk.described())[0]["modelVersion"] == "1.0"
    outcome = await desk.plane.set_default(SetDefaultVersion(model_name="m", model_version="2.0"))
    assert outcome.view.status == 'Default version successfully updated for model "m" to "2.0"'
    assert (await desk.described())[0]["modelVersion"] == "2.0"
    with pytest.raises(ModelVersionNotFound):
        await desk.described(model_version="9")


@pytest.mark.parametrize(
    ("limit", "token", "names", "following"),
    [
        (100, 0, ["m", "n", "p"], None),
        (2, 0, ["m", "n"], "2"),
        (3, 0, ["m", "n", "p"], "3"),
        (2, 2, ["p"], None),
        (1, 3, [], None),
        (0, 0, [], "0"),
        (-1, 0, ["m", "n", "p"], None),
        (101, -5, ["m", "n", "p"], None),
        (5, 2**31, [], None),
    ],
)
async def test_pages_of_the_list(desk, limit, token, names, following):
    for url in ("p.mar", "m.mar", "n.mar"):
        await desk.register(url, initial_workers=0)
    page = desk.plane.list_models(ListModels(limit=limit, next_page_token=token))
    assert [one.model_name for one in page.models] == names
    assert [one.model_url for one in page.models] == [f"{name}.mar" for name in names]
    assert page.next_page_token == following


async def test_start_up_models_are_known(desk):
    assert desk.plane.sole_startup_model() is None
    assert await desk.plane.load_at_startup(StartupEntry("m", "m.mar", "m"))
    assert not await desk.plane.load_at_startup(StartupEntry(None, "absent.mar", "absent"))
    assert desk.plane.sole_startup_model() == "m"
    (view,) = await desk.described()
    assert view["loadedAtStartup"] is True
    assert await desk.plane.load_at_startup(StartupEntry("n", "n.mar", "n"))
    assert desk.plane.sole_startup_model() is None
    assert {one.url for one in desk.plane.startup_entries("all")} >= {"m.mar", "n.mar"}


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"url": None}, BadRequest, "Parameter url is required."),
        ({"url": "absent.mar"}, ModelNotFound, "Model not found at: absent.mar"),
        ({"batch_size": 0}, BadRequest, "batch_size must be 1 or more, not 0."),
        ({"runtime": "cobol"}, BadRequest, "Invalid RuntimeType value: cobol"),
    ],
)
async def test_a_register_call_that_makes_no_sense_leaves_nothing(desk, fields, error, text):
    with pytest.raises(error) as raised:
        await desk.register(**{"url": "m.mar"} | fields)
    assert str(raised.value) == text
    assert desk.unpacked() == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"min_worker": 2, "max_worker": 1}, "max_worker cannot be less than min_worker."),
        ({"max_worker": 0}, "max_worker cannot be less than min_worker."),
        ({"min_worker": 1025}, "min_worker must be 1024 or less, not 1025."),
        ({"min_worker": -1}, "min_worker must be 0 or more, not -1."),
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0."),
        ({"max_batch_delay": -2}, "max_batch_delay must be 0 or more, not -2."),
    ],
)
async def test_a_scale_call_that_makes_no_sense_is_refused_before_the_look_up(desk, fields, text):
    with pytest.raises(BadRequest) as raised:
        await desk.plane.scale(ScaleWorkers(model_name="nobody", **fields))
    assert str(raised.value) == text
    with pytest.raises(ModelNotFound):
        await desk.plane.scale(ScaleWorkers(model_name="nobody"))


# -- model-config.yaml


def configured(tmp_path, pack, text: str) -> None:
    """An archive ``c.mar`` with that model-config.yaml."""
    source = HANDLER.format(marks=str(tmp_path / "marks"))
    pack(
        "c.mar",
        {"h.py": source, "model-config.yaml": text},
        handler="h.py",
        model={"modelName": "m", "configFile": "model-config.yaml"},
    )


UNBUILT = [
    ("asyncCommunication: true", "asyncCommunication"),
    ("continuousBatching: true", "continuousBatching"),
    ("sequenceBatching: true\nsequenceMaxIdleMSec: 9", "sequenceBatching"),
    ("useVenv: true", "useVenv"),
    ("useJobTicket: true", "useJobTicket"),
    ("torchrun: {nproc-per-node: 2}", "torchrun"),
    ("parallelType: tp\nparallelLevel: 2", "parallelType"),
    ("useVenv: true\nuseJobTicket: true", "useJobTicket, useVenv"),
]


@pytest.mark.parametrize(("text", "keys"), UNBUILT)
async def test_an_archive_that_asks_for_what_is_not_built_is_refused(
    desk, tmp_path, pack, text, keys
):
    configured(tmp_path, pack, text)
    with pytest.raises(InvalidModel) as raised:
        await desk.register("c.mar")
    assert str(raised.value).startswith(f"model-config.yaml asks for {keys}, which this server")
    assert "Remove " in str(raised.value)
    assert desk.unpacked() == []


async def test_at_start_up_such_an_archive_is_named_and_the_server_is_not_ready(
    desk, tmp_path, pack, caplog
):
    configured(tmp_path, pack, "useVenv: true")
    assert not await desk.plane.load_at_startup(StartupEntry("m", "c.mar", "m"))
    assert "Failed to load model: c.mar: model-config.yaml asks for useVenv" in caplog.text
    (lack,) = desk.plane.lacking()
    assert "asks for useVenv" in lack.reason


async def test_what_is_not_asked_for_is_no_reason_to_refuse(desk, tmp_path, pack):
    words = ("useVenv", "useJobTicket", "continuousBatching", "asyncCommunication")
    configured(tmp_path, pack, "".join(f"{word}: false\n" for word in words))
    await desk.register("c.mar")
    assert "ignored" not in (await desk.described())[0]


async def test_describe_names_the_keys_that_do_nothing_and_shows_only_what_is_in_force(
    desk, tmp_path, pack
):
    configured(tmp_path, pack, "batchsize: 4\nparallelLevel: 2\nmaxNumSequence: 3\nown: 1\n")
    await desk.register("c.mar")
    (view,) = await desk.described()
    assert view["ignored"] == ["batchsize", "parallelLevel", "maxNumSequence"]
    assert (view["batchSize"], view["parallelLevel"], view["maxNumSequence"]) == (1, 0, 0)


# -- failing and mending


async def test_a_failed_registration_leaves_nothing_and_works_once_mended(desk, metrics):
    broken = desk.mark("broken")
    with pytest.raises(WorkerStartFailed) as raised:
        await desk.register(initial_workers=2)
    assert str(raised.value) == (
        "Failed to start workers for model m version: 1.0: RuntimeError: no weights (h.py:18)"
    )
    assert desk.plane.list_models(ListModels()).models == []
    assert desk.unpacked() == []
    assert desk.plane.worker_pids() == []
    assert 'model_name="m"' not in b"".join(metrics.exposition([])).decode()
    broken.unlink()
    await desk.register(initial_workers=2)
    assert (await desk.ask()).error is None


async def test_a_first_version_that_fails_makes_way_for_one_that_came_in_between(desk):
    slow, broken = desk.mark("slow"), desk.mark("broken")
    first = asyncio.ensure_future(desk.register("m.mar"))
    await desk.met(slow)
    await desk.register("m2.mar", initial_workers=0)
    slow.unlink()
    with pytest.raises(WorkerStartFailed):
        await first
    broken.unlink()
    assert (await desk.described(all_versions=True))[0]["modelVersion"] == "2.0"
    assert (await desk.described())[0]["modelVersion"] == "2.0"


async def test_refusals_have_their_own_words(desk, monkeypatch, eventually):
    monkeypatch.setattr(slots, "BACK_OFF", (0.01,))
    slow = desk.mark("slow")
    await desk.register(synchronous=False)
    version = desk.version()
    version.dispatcher.batcher.capacity = 1
    waiting = [desk.ask()]
    with pytest.raises(StillLoading, match="still loading and has 1 requests waiting") as loading:
        desk.ask()
    slow.unlink()
    await version.slots[0].loaded
    await asyncio.gather(*waiting)
    held = desk.mark("held")
    running = desk.ask()
    await desk.met(held)
    waiting = [desk.ask()]
    with pytest.raises(QueueFull, match="has 1 requests waiting") as full:
        desk.ask()
    held.unlink()
    await asyncio.gather(running, *waiting)
    broken = desk.mark("broken")
    version.slots[0].worker.kill()
    await eventually(lambda: version.slots[0].standing.tries >= models.HOPELESS_TRIES)
    with pytest.raises(WorkersFailing, match=r"no weights \(h\.py:18\)") as failing:
        desk.ask()
    for raised in (loading, full, failing):
        assert (raised.value.status, raised.value.retry_after) == (503, 1)
    broken.unlink()
    await eventually(lambda: version.slots[0].ready)
    assert (await desk.ask()).error is None


async def test_who_waits_for_workers_that_cannot_start_is_answered(desk, monkeypatch):
    monkeypatch.setattr(slots, "BACK_OFF", (0.05,))
    desk.mark("broken")
    await desk.register(synchronous=False)
    answer = await asyncio.wait_for(desk.ask(), 10)
    assert isinstance(answer.error, WorkersFailing)


async def test_a_version_whose_worker_fails_for_too_long_is_unhealthy(desk, monkeypatch):
    desk.mark("broken")
    await desk.register(synchronous=False)
    await asyncio.wait({desk.version().slots[0].loaded})
    assert desk.plane.healthy(), "a young failure counts as healthy"
    desk.version().slots[0].standing.failing_since -= 301
    assert not desk.plane.healthy()


# -- changes at the same time


async def test_of_two_registrations_of_one_version_exactly_one_wins(desk):
    results = await asyncio.gather(
        desk.register("m.mar"), desk.register("other.mar"), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in results) == ["Conflict", "Outcome"]
    assert len(desk.unpacked()) == 1
    assert (await desk.ask()).error is None


async def test_two_versions_can_be_registered_at_once(desk):
    await asyncio.gather(desk.register("m.mar"), desk.register("m2.mar"), desk.register("n.mar"))
    assert (await desk.ask("1.0")).error is None
    assert (await desk.ask("2.0")).error is None


async def test_unregister_while_registering_ends_both(desk):
    slow = desk.mark("slow")
    registering = asyncio.ensure_future(desk.register(initial_workers=2))
    await desk.met(slow)
    await asyncio.wait_for(desk.unregister(), 5)
    with pytest.raises(WorkerStartFailed, match="stopped while it loaded"):
        await asyncio.wait_for(registering, 5)
    assert desk.unpacked() == []
    assert desk.plane.worker_pids() == []


async def test_two_unregistrations_at_once_are_one(desk):
    await desk.register()
    results = await asyncio.gather(desk.unregister(), desk.unregister(), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["ModelNotFound", "Outcome"]


async def test_a_number_of_workers_that_nobody_means_starts_none(desk):
    with pytest.raises(BadRequest, match="initial_workers must be 1024 or less, not 2000000000"):
        await desk.register(initial_workers=2_000_000_000)
    with pytest.raises(ModelNotFound):
        await desk.plane.describe(DescribeModel(model_name="m"))


async def test_a_scale_that_waited_while_the_model_went_starts_nothing(desk):
    await desk.register()
    async with desk.plane._lives.turn("m"):
        scaling = asyncio.ensure_future(desk.scale(3))
        await asyncio.sleep(0)
        await desk.unregister()
    with pytest.raises(ModelNotFound):
        await scaling
    assert desk.plane.worker_pids() == []


async def test_a_closed_version_starts_no_workers(desk):
    await desk.register()
    version = desk.version()
    await desk.unregister()
    with pytest.raises(Unavailable, match="was unregistered"):
        version.scale(1, 1)


async def test_scaling_while_scaling_ends_as_the_last_call_said(desk):
    await desk.register()
    results = await asyncio.wait_for(
        asyncio.gather(*(desk.scale(n) for n in (4, 0, 3, 1, 2)), return_exceptions=True), 20
    )
    assert not [
        one
        for one in results
        if isinstance(one, Exception) and not isinstance(one, WorkerStartFailed)
    ]
    version = desk.version()
    await version.left()
    await asyncio.gather(*(slot.loaded for slot in version.slots))
    assert len(version.slots) == 2
    assert len(desk.plane.worker_pids()) == 2
    assert (version.min_workers, version.max_workers) == (2, 2)


async def test_scale_words_and_bounds(desk):
    await desk.register()
    outcome = await desk.scale(3)
    assert outcome.view.status == "Workers scaled to 3 for model: m"
    outcome = await desk.scale(1, 3, model_version="1.0")
    assert outcome.view.status == "Workers scaled to 1 for model: m, version: 1.0"
    assert len(desk.version().slots) == 3
    assert (await desk.scale(1, synchronous=False)).accepted
    assert len(desk.version().slots) == 1
    await desk.plane.scale(ScaleWorkers(model_name="m"))
    assert len(desk.version().slots) == 1


@pytest.mark.parametrize("seconds", [0, 1, -1])
async def test_the_timeout_of_a_scale_call_really_drains(desk, seconds):
    await desk.register()
    held = desk.mark("held")
    asked = desk.ask()
    await desk.met(held)
    begun = monotonic()
    scaling = asyncio.ensure_future(desk.scale(0, timeout=seconds))
    if seconds < 0:
        await asyncio.sleep(0.3)
        assert not scaling.done()
        held.unlink()
        assert (await asked).error is None
    else:
        assert (await asyncio.wait_for(asked, 5)).status == 500
        assert seconds <= monotonic() - begun
    await scaling
    assert desk.plane.worker_pids() == []


async def test_minus_one_in_a_scale_call_means_not_given_and_changes_nothing(desk):
    await desk.register(initial_workers=2, batch_size=3)
    for values in ({"batch_size": -1}, {"max_batch_delay": -1}):
        await desk.plane.scale(ScaleWorkers(model_name="m", **values))
    (view,) = await desk.described()
    assert (view["batchSize"], view["maxBatchDelay"], view["minWorkers"]) == (3, 100, 2)


async def test_the_batching_of_a_live_model_changes_without_losing_a_request(desk, eventually):
    await desk.register(initial_workers=1)
    held = desk.mark("held")
    asked = [desk.ask() for _ in range(9)]
    await desk.met(held)
    change = ScaleWorkers(model_name="m", batch_size=4, max_batch_delay=5, synchronous=True)
    await desk.plane.scale(change)
    held.unlink()
    sizes = [int(answer.body.split()[1]) for answer in await asyncio.gather(*asked)]
    assert sizes == [1, 4, 4, 4, 4, 4, 4, 4, 4]
    (view,) = await desk.described()
    assert (view["batchSize"], view["maxBatchDelay"], view["minWorkers"]) == (4, 5, 1)
    os.kill(desk.plane.worker_pids()[0], 9)
    await eventually(lambda: desk.version().slots[0].standing.tries == 1)
    assert (await desk.ask()).body.split()[2] == b"4", "the restarted worker knows the new size"


async def test_a_version_comes_back_only_when_the_old_one_is_gone(desk, metrics):
    await desk.register()
    held = desk.mark("held")
    running = desk.ask()
    await desk.met(held)
    going = asyncio.ensure_future(desk.unregister())
    await eventually(lambda: not desk.plane.names())
    coming = asyncio.ensure_future(desk.register())
    await asyncio.sleep(0.3)
    assert not coming.done()
    held.unlink()
    assert (await running).error is None
    await going
    await coming
    await desk.ask()
    text = b"".join(metrics.exposition([])).decode()
    assert 'flambeau_request_seconds_count{model_name="m",model_version="1.0"} 1.0' in text


async def test_unregister_answers_who_waits_and_finishes_who_runs(desk):
    await desk.register()
    held = desk.mark("held")
    running, waiting = desk.ask(), desk.ask()
    await desk.met(held)
    going = asyncio.ensure_future(desk.unregister())
    answer = await asyncio.wait_for(waiting, 1)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == 'Model "m" was unregistered.'
    held.unlink()
    assert (await running).error is None
    await going


# -- those who ask and go


async def test_a_registration_goes_on_when_its_client_has_gone(desk, eventually):
    slow = desk.mark("slow")
    registering = asyncio.ensure_future(desk.register())
    await desk.met(slow)
    registering.cancel()
    await asyncio.wait({registering})
    slow.unlink()
    await eventually(lambda: bool(desk.plane._registry.names()) and desk.version().dispatcher.ready)
    assert (await desk.ask()).error is None


async def test_an_unregistration_goes_on_when_its_client_has_gone(desk, eventually):
    await desk.register()
    held = desk.mark("held")
    running = desk.ask()
    await desk.met(held)
    going = asyncio.ensure_future(desk.unregister())
    await eventually(lambda: not desk.plane.names())
    going.cancel()
    await asyncio.wait({going})
    held.unlink()
    assert (await running).error is None
    await eventually(lambda: desk.unpacked() == [])


# -- stopping


async def test_a_stop_answers_everything_accepted(desk):
    await desk.register(initial_workers=2)
    held = desk.mark("held")
    asked = [desk.ask() for _ in range(10)]
    await desk.met(held)
    stopping = asyncio.ensure_future(desk.plane.stop(10.0))
    await asyncio.sleep(0.1)
    assert not stopping.done()
    held.unlink()
    await asyncio.wait_for(stopping, 5)
    assert [answer.result().error for answer in asked] == [None] * 10
    assert desk.plane.worker_pids() == []


async def test_a_stop_keeps_its_limit_and_leaves_nobody_hanging(desk):
    await desk.register()
    held = desk.mark("held")
    asked = [desk.ask() for _ in range(3)]
    await desk.met(held)
    begun = monotonic()
    await asyncio.wait_for(desk.plane.stop(0.3), 5)
    assert 0.3 <= monotonic() - begun < 2
    kinds = [type(answer.result().error) for answer in asked]
    assert all(issubclass(kind, FlambeauError) for kind in kinds)
    assert kinds[1:] == [ShuttingDown] * 2


async def test_a_stop_is_not_held_up_by_a_worker_that_leaves_slowly(desk):
    await desk.register()
    held = desk.mark("held")
    asked = desk.ask()
    await desk.met(held)
    await desk.scale(0, synchronous=False)
    begun = monotonic()
    await asyncio.wait_for(desk.plane.stop(0.2), 5)
    assert monotonic() - begun < 2
    assert asked.done()


async def test_a_stop_cuts_an_unregistration_short(desk):
    await desk.register()
    held = desk.mark("held")
    asked = desk.ask()
    await desk.met(held)
    going = asyncio.ensure_future(desk.unregister())
    await eventually(lambda: not desk.plane.names())
    await asyncio.wait_for(desk.plane.stop(0.2), 5)
    await asyncio.wait_for(going, 1)
    assert asked.done()


async def test_a_registration_under_way_is_undone_by_a_stop(desk):
    slow = desk.mark("slow")
    loading = asyncio.ensure_future(desk.register("m.mar"))
    await desk.met(slow)
    fetching = asyncio.ensure_future(desk.register("n.mar"))
    await asyncio.sleep(0)
    await asyncio.wait_for(desk.plane.stop(0.1), 5)
    with pytest.raises(WorkerStartFailed):
        await loading
    with pytest.raises(ShuttingDown):
        await fetching
    with pytest.raises(ShuttingDown):
        await desk.register()
    assert desk.unpacked() == []


# -- what the handler says of itself


@pytest.mark.parametrize(
    ("words", "shown"),
    [('{"a": [1]}', {"a": [1]}), ("[1]", {}), ("plain", {}), ("", {})],
)
async def test_customized_metadata_is_a_json_object(desk, words, shown):
    await desk.register()
    desk.mark("words", words)
    (view,) = await desk.described(customized=True)
    assert view["customizedMetadata"] == shown
    assert list(view)[-1] == "customizedMetadata"
    assert all(
        "customizedMetadata" not in one
        for one in await desk.described(customized=True, all_versions=True)
    )


async def test_a_handler_that_fails_to_describe_itself_is_503(desk):
    await desk.register()
    desk.mark("raise")
    with pytest.raises(HandlerFailed):
        await desk.described(customized=True)


async def test_nobody_to_ask_is_told(desk):
    await desk.register(initial_workers=0)
    with pytest.raises(NoWorker, match="has no worker to serve describe request"):
        await desk.described(customized=True)


async def test_a_handler_that_never_describes_itself_is_given_up(desk):
    await desk.register(response_timeout=1, startup_timeout=1)
    version = desk.version()
    await version.slots[0].stop(None)
    with pytest.raises(InternalError, match="did not describe itself within 2 s"):
        await desk.described(customized=True)


async def test_conflict_names_the_version(desk):
    await desk.register()
    with pytest.raises(Conflict, match=r"Model version 1\.0 is already registered for model m"):
        await desk.register("other.mar")
    assert len(desk.unpacked()) == 1


# -- snapshots


class Kept:
    """Snapshots in memory; a disk that is full when told so."""

    def __init__(self) -> None:
        self.written: list[tuple[str, dict]] = []
        self.full = False

    def write(self, occasion: str, models: dict) -> None:
        if self.full:
            raise OSError("no space left")
        self.written.append((occasion, models))


async def test_every_change_is_saved_and_can_be_restored(desk, caplog):
    kept = Kept()
    desk.plane._write_snapshot = kept.write
    await desk.register(batch_size=3)
    await desk.register("m2.mar", initial_workers=0)
    await desk.plane.set_default(SetDefaultVersion(model_name="m", model_version="2.0"))
    assert desk.plane.names() == ["m"]
    assert desk.plane.versions("m") == ["2.0", "1.0"]
    assert [occasion for occasion, _ in kept.written] == ["snapshot"] * 3
    picture = kept.written[-1][1]
    assert [picture["m"][number]["defaultVersion"] for number in ("1.0", "2.0")] == [False, True]
    assert (picture["m"]["1.0"]["marName"], picture["m"]["1.0"]["batchSize"]) == ("m.mar", 3)
    kept.full = True
    await desk.unregister("1.0")
    assert "the snapshot could not be written: no space left" in caplog.text
    await desk.unregister()
    pinned = {"min_workers": 1, "max_workers": 1, "batch_size": 3}
    for number, url, default in (("1.0", "m.mar", False), ("2.0", "m2.mar", True)):
        assert desk.plane.holds(url)
        assert await desk.plane.restore(SavedVersion("m", number, url, default, pinned))
    assert not await desk.plane.restore(SavedVersion("q", "1.0", "absent.mar", True, pinned))
    assert not desk.plane.holds("absent.mar")
    assert desk.plane.versions("m") == ["2.0", "1.0"]
    assert (await desk.ask("1.0")).body.split()[2] == b"3"
    assert "absent.mar" in str(desk.plane.lacking())
    await desk.plane.stop(5.0)
    assert not desk.plane.ready()
