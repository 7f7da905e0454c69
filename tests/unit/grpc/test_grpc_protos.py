"""The modules made from .proto files are what the compiler makes of them today."""

from __future__ import annotations

import pytest

from tools import protos


@pytest.mark.parametrize("path", sorted(protos.outputs()), ids=lambda path: path.name)
def test_a_made_module_is_up_to_date(path):
    assert path.read_text() == protos.outputs()[path]


def test_field_numbers_are_those_of_the_original():
    from flambeau.grpc import inference_pb2, management_pb2  # noqa: PLC0415

    numbers = {
        message.name: {field.name: field.number for field in message.fields}
        for module in (inference_pb2, management_pb2)
        for message in module.DESCRIPTOR.message_types_by_name.values()
    }
    name_and_version = {"model_name": 1, "model_version": 2}
    assert numbers == {
        "PredictionsRequest": name_and_version | {"input": 3, "sequence_id": 4},
        "PredictionResponse": {"prediction": 1, "sequence_id": 2, "status": 3},
        "TorchServeHealthResponse": {"health": 1},
        "ManagementResponse": {"msg": 1},
        "DescribeModelRequest": name_and_version | {"customized": 3},
        "ListModelsRequest": {"limit": 1, "next_page_token": 2},
        "RegisterModelRequest": {
            "batch_size": 1,
            "handler": 2,
            "initial_workers": 3,
            "max_batch_delay": 4,
            "model_name": 5,
            "response_timeout": 6,
            "runtime": 7,
            "synchronous": 8,
            "url": 9,
            "s3_sse_kms": 10,
            "startup_timeout": 11,
        },
        "ScaleWorkerRequest": name_and_version
        | {"max_worker": 3, "min_worker": 4, "number_gpu": 5, "synchronous": 6, "timeout": 7},
        "SetDefaultRequest": name_and_version,
        "UnregisterModelRequest": name_and_version,
    }
