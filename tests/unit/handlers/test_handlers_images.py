"""The image handlers on real models; run where torchvision is installed."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None


@pytest.mark.parametrize("name", ["image_classifier", "image_segmenter", "object_detector"])
@pytest.mark.skipif(HAS_TORCHVISION, reason="torchvision is installed")
def test_without_torchvision_the_handler_names_it(name):
    with pytest.raises(ImportError, match=f"{name} needs the package torchvision"):
        importlib.import_module(f"flambeau.handlers.{name}")


@pytest.fixture
def handler_of():
    pytest.importorskip("torchvision")

    def make(module, name):
        return getattr(importlib.import_module(f"flambeau.handlers.{module}"), name)()

    return make


@pytest.mark.torchvision
def test_the_five_most_probable_classes_are_named(handler_of):
    handler = handler_of("image_classifier", "ImageClassifier")
    (answer,) = handler.postprocess(torch.tensor([[0.0, 5.0, 1.0, 2.0, 3.0, 4.0]]))
    assert list(answer) == ["1", "5", "4", "3", "2"]
    handler.set_max_result_classes(2)
    assert handler.get_max_result_classes() == 2
    assert len(handler.postprocess(torch.zeros(3, 10))[2]) == 2


@pytest.mark.torchvision
def test_a_model_with_few_classes_answers_them_all(handler_of):
    handler = handler_of("image_classifier", "ImageClassifier")
    assert len(handler.postprocess(torch.zeros(1, 3))[0]) == 3


@pytest.mark.torchvision
def test_each_pixel_gets_its_class_and_probability(handler_of):
    handler = handler_of("image_segmenter", "ImageSegmenter")
    scores = torch.tensor([[[[0.0, 9.0]], [[9.0, 0.0]]]])
    ((row,),) = handler.postprocess({"out": scores})
    assert [pixel[0] for pixel in row] == [1.0, 0.0]
    assert all(pixel[1] == pytest.approx(0.9999, abs=1e-3) for pixel in row)


@pytest.mark.torchvision
def test_boxes_below_the_threshold_are_left_out(handler_of):
    handler = handler_of("object_detector", "ObjectDetector")
    handler.mapping = {"7": "cat"}
    found = {
        "boxes": torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 1.0]]),
        "labels": torch.tensor([7, 7]),
        "scores": torch.tensor([0.75, 0.25]),
    }
    assert handler.postprocess([found]) == [[{"cat": [1.0, 2.0, 3.0, 4.0], "score": 0.75}]]
