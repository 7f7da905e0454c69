from __future__ import annotations

import threading

import pytest

from flambeau.handlers.micro_batching import HANDLER_METHODS, MicroBatching
from flambeau.worker.context import Context, RequestProcessor
from flambeau.worker.metrics import MetricsCacheYamlImpl


class Steps:
    def __init__(self):
        self.sizes = []
        self.threads = set()
        self.context = None

    def preprocess(self, data):
        self.sizes.append(len(data))
        return [row["body"] for row in data]

    def inference(self, data):
        self.threads.add(threading.current_thread().name)
        if "bad" in data:
            raise ValueError("bad row")
        return data

    def postprocess(self, data):
        return [f"{one}!" for one in data]

    def _is_describe(self):
        return False

    def _is_explain(self):
        return False


@pytest.fixture
def batching():
    made = MicroBatching(Steps(), micro_batch_size=2)
    yield made
    made.shutdown()


def test_answers_come_in_the_order_of_the_batch(batching):
    rows = [{"body": str(number)} for number in range(7)]
    assert batching.handle(rows) == [f"{number}!" for number in range(7)]
    assert sorted(batching.handler.sizes) == [1, 2, 2, 2]
    assert batching.handler.threads == {"micro batch inference"}


def test_what_a_step_raises_is_raised_and_the_next_batch_works(batching):
    with pytest.raises(ValueError, match="bad row"):
        batching.handle([{"body": "a"}, {"body": "b"}, {"body": "bad"}])
    assert batching.handle([{"body": "a"}]) == ["a!"]


def test_threads_follow_the_parallelism(batching):
    batching.parallelism = {"inference": 3}
    assert batching.parallelism == {"preprocess": 1, "inference": 3, "postprocess": 1}
    assert [len(batching.thread_groups[name]) for name in HANDLER_METHODS] == [1, 3, 1]
    batching.parallelism = {}
    assert len(batching.thread_groups["inference"]) == 1
    with pytest.raises(ValueError, match="nope"):
        batching.parallelism = {"nope": 1}


def test_called_as_a_handler_it_records_the_time(batching):
    metrics = MetricsCacheYamlImpl()
    metrics.collect()
    metrics.model_name = "m"
    context = Context("m", "/model", None, 1, None, "v", True, metrics)
    context.request_processor = [RequestProcessor({})]
    assert batching([{"body": "a"}], context) == ["a!"]
    assert [point.name for point in metrics.drain()] == ["HandlerTime"]
