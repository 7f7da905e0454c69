from __future__ import annotations

import logging
from types import SimpleNamespace

from flambeau.handlers.timer import timed, timeit
from flambeau.worker.metrics import MetricsCacheYamlImpl


class Handler:
    def __init__(self, config):
        metrics = MetricsCacheYamlImpl()
        metrics.collect()
        self.context = SimpleNamespace(model_yaml_config=config, metrics=metrics)

    @timed
    def preprocess(self, data):
        return data + 1


def test_a_step_is_timed_only_when_the_config_asks():
    handler = Handler({"handler": {"profile": True}})
    assert handler.preprocess(1) == 2
    (point,) = handler.context.metrics.drain()
    assert (point.name, point.unit) == ("ts_handler_preprocess", "Milliseconds")
    for config in (None, {}, {"handler": None}, {"handler": {"profile": False}}):
        quiet = Handler(config)
        assert quiet.preprocess(1) == 2
        assert quiet.context.metrics.drain() == []


def test_timeit_logs_the_milliseconds(caplog):
    caplog.set_level(logging.INFO)

    @timeit
    def work(x):
        return x

    assert work(3) == 3
    assert "work took" in caplog.text
