"""Keys of model-config.yaml that do nothing: which are named, how loudly, and what was meant."""

from __future__ import annotations

import pytest

from flambeau.archive.config_keys import nearest
from flambeau.archive.model_config import read_model_config


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "model-config.yaml"
        path.write_text(text)
        return read_model_config(path, "m.mar/model-config.yaml")[0]

    return reading


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("batchsize", "batchSize"),
        ("batch_size", "batchSize"),
        ("maxbatchDelay", "maxBatchDelay"),
        ("max-batch-delay", "maxBatchDelay"),
        ("responseTimeOut", "responseTimeout"),
        ("response_timeout", "responseTimeout"),
        ("minWorker", "minWorkers"),
        ("clientTimeout", "clientTimeoutInMills"),
        ("queueSize", "jobQueueSize"),
        ("maxRetryTimeout", "maxRetryTimeoutInSec"),
        ("deviceId", "deviceIds"),
        ("sequenceBatch", "sequenceBatching"),
        ("torchRun", "torchrun"),
        ("handler", None),
        ("device", None),
        ("model_path", None),
        ("threshold", None),
        ("throughput", None),
        ("tokenizer", None),
        ("max_length", None),
        ("", None),
    ],
)
def test_a_slip_is_known_for_the_key_that_was_meant(key, meant):
    assert nearest(key) == meant


def test_a_slip_is_a_warning_that_names_the_key_that_was_meant(read, caplog):
    assert list(read("batchsize: 4\n").ignored) == ["batchsize"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "file=m.mar/model-config.yaml key=batchsize" in record.getMessage()
    assert "did you mean batchSize?" in record.getMessage()


def test_keys_that_handlers_may_read_are_told_in_one_line_and_are_no_alarm(read, caplog):
    caplog.set_level("INFO")
    assert read("threshold: 0.5\nlabels: [a]\n7: x\nbatchSize: 2\n").ignored == {}
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "handlers may read them" in record.getMessage()
    assert "keys=threshold,labels,7" in record.getMessage()


KNOWN_TO_HANDLERS = "handler: {a: 1}\npt2: inductor\nmicro_batching: {}\npippy: {}\ndali: {}\n"


def test_keys_that_shipped_handlers_read_are_no_news(read, caplog):
    caplog.set_level("INFO")
    assert read(KNOWN_TO_HANDLERS + "deepspeed: {}\nexample: x\n").ignored == {}
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "key", "without"),
    [
        ("parallelLevel: 2", "parallelLevel", "parallelType"),
        ("sequenceMaxIdleMSec: 5", "sequenceMaxIdleMSec", "sequenceBatching"),
        ("sequenceBatching: false\nmaxNumSequence: 4", "maxNumSequence", "sequenceBatching"),
    ],
)
def test_a_key_without_the_one_it_needs_is_a_warning(read, caplog, text, key, without):
    assert read(text).ignored == {key: f"{key} has no effect without {without}"}
    assert f"key={key} cause={key} has no effect without {without}" in caplog.text


@pytest.mark.parametrize("text", ["parallelLevel: 0", "maxNumSequence: 1", "sequenceTimeoutMSec:"])
def test_a_key_that_says_what_holds_anyway_is_no_news(read, caplog, text):
    assert read(text).ignored == {}
    assert not caplog.records


@pytest.mark.parametrize("text", ["minWorkers: 1", "minWorkers: 2\nmaxWorkers: 1", "maxWorkers: 3"])
def test_numbers_of_workers_that_do_not_fit_are_a_warning(read, caplog, text):
    read(text)
    (record,) = caplog.records
    assert "model config workers have no effect" in record.getMessage()
