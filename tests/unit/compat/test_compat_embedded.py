from __future__ import annotations

import json
import struct

import pytest

from flambeau.compat.embedded import ModelLoader, ModelLoaderFactory, Service
from flambeau.worker.failures import PredictionException
from flambeau.worker.metrics import MetricsCacheYamlImpl

REQUEST = {
    "requestId": b"123",
    "headers": [{"name": b"h", "value": b"v"}],
    "parameters": [{"name": "xyz", "value": "abc", "contentType": "text/css"}],
}


def status_and_text(answer):
    status, size = struct.unpack_from("!ii", answer)
    return status, bytes(answer[8 : 8 + size]).decode()


def service_of(entry, metrics=None):
    return Service("m", "/model", None, entry, None, 1, True, metrics)


def test_a_batch_is_taken_apart():
    processors, rows, ids = Service.retrieve_data_for_inference([REQUEST])
    assert rows == [{"xyz": "abc"}]
    assert ids == {0: "123"}
    assert processors[0].get_request_properties() == {
        "xyz": {"content-type": "text/css"},
        "h": "v",
    }
    with pytest.raises(ValueError, match="Received invalid inputs"):
        Service.retrieve_data_for_inference(None)


def test_a_service_answers_and_records_its_time():
    metrics = MetricsCacheYamlImpl()
    metrics.collect()
    metrics.initialize_cache()
    metrics.model_name = "m"
    service = service_of(lambda data, context: [context.get_request_id(0)], metrics)
    answer = service.predict([REQUEST])
    assert status_and_text(answer) == (200, "Prediction success")
    assert answer.endswith(struct.pack("!i", 3) + b"123" + struct.pack("!i", -1))
    (point,) = metrics.drain()
    assert (point.name, point.request_ids) == ("PredictionTime", "123")


def failing(error):
    def entry(data, context):
        raise error

    return entry


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (failing(ValueError("q")), (503, "Prediction failed")),
        (failing(PredictionException("pp", 513)), (513, "pp")),
        (failing(MemoryError()), (507, "Out of resources")),
        (failing(RuntimeError("CUDA")), (507, "Out of resources")),
        (lambda data, context: {}, (503, "Invalid model predict output")),
        (lambda data, context: ["a", "b"], (503, "number of batch response mismatched")),
    ],
)
def test_faults_are_answers(entry, told):
    assert status_and_text(service_of(entry).predict([REQUEST])) == told


def test_an_unpacked_archive_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "standalone_handler.py").write_text(
        "def handle(data, context):\n"
        "    return None if data is None else [context.model_yaml_config['answer']]\n"
    )
    (tmp_path / "model-config.yaml").write_text("answer: 42\n")
    (tmp_path / "MAR-INF").mkdir()
    manifest = {"model": {"handler": "standalone_handler.py", "configFile": "model-config.yaml"}}
    (tmp_path / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    loader = ModelLoaderFactory.get_model_loader()
    service = loader.load("m", str(tmp_path), None, None, 1)
    assert service.context.manifest == manifest
    assert b"42" in service.predict([REQUEST])


def test_without_a_handler_the_load_says_so(tmp_path):
    with pytest.raises(ValueError, match="no handler is given"):
        ModelLoaderFactory.get_model_loader().load("m", str(tmp_path))
    with pytest.raises(NotImplementedError):
        ModelLoader().load("m", str(tmp_path))
