"""BaseHandler and its descendants on real models."""

from __future__ import annotations

import base64
import importlib.util
import io
import textwrap
import warnings

import pytest

torch = pytest.importorskip("torch")

from flambeau.handlers import profiling  # noqa: E402
from flambeau.handlers.base_handler import BaseHandler  # noqa: E402
from flambeau.handlers.densenet_handler import DenseNetHandler  # noqa: E402
from flambeau.handlers.text_classifier import TextClassifier  # noqa: E402
from flambeau.handlers.vision_handler import VisionHandler  # noqa: E402
from flambeau.worker.context import Context, RequestProcessor  # noqa: E402
from flambeau.worker.metrics import MetricsCacheYamlImpl  # noqa: E402

pytestmark = pytest.mark.torch

MODEL = """
    import torch
    class Doubler(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(2.0))
        def forward(self, x):
            return x * self.factor
"""


class Doubler(torch.nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return x * self.factor


class Bag(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(16, 3)

    def forward(self, tokens, offsets):
        return self.embedding(tokens, offsets)


@pytest.fixture
def model_dir(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def context_of(model_dir, config=None, size=1, headers=None, **model):
    metrics = MetricsCacheYamlImpl()
    metrics.collect()
    metrics.model_name = "m"
    context = Context(
        "m", str(model_dir), {"model": model}, size, None, "v", True, metrics, config or {}
    )
    context.request_processor = [RequestProcessor(headers or {}) for _ in range(size)]
    context.request_ids = {index: str(index) for index in range(size)}
    return context


def ready(handler, context):
    handler.initialize(context)
    assert handler.initialized
    return handler


def scripted(model_dir, module, name="model.pt"):
    with warnings.catch_warnings(action="ignore"):  # torch deprecates scripting; archives use it
        torch.jit.script(module).save(str(model_dir / name))
    return name


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_model_answers_and_its_time_is_recorded(model_dir):
    context = context_of(model_dir, serializedFile=scripted(model_dir, Doubler()))
    handler = ready(BaseHandler(), context)
    assert handler.handle([[1.0, 2.0]], context) == [[2.0, 4.0]]
    assert [point.name for point in context.metrics.drain()] == ["HandlerTime"]
    assert handler.get_device().type == "cpu"
    assert handler.map_location == "cpu"


def test_an_eager_model_gets_its_weights(model_dir):
    (model_dir / "eager_model_a.py").write_text(textwrap.dedent(MODEL))
    torch.save(Doubler(5.0).state_dict(), model_dir / "weights.pt")
    context = context_of(model_dir, serializedFile="weights.pt", modelFile="eager_model_a.py")
    assert ready(BaseHandler(), context).handle([[1.0]], context) == [[5.0]]


def test_an_eager_model_without_weights_keeps_its_own(model_dir):
    (model_dir / "eager_model_b.py").write_text(textwrap.dedent(MODEL))
    context = context_of(model_dir, modelFile="eager_model_b.py")
    assert ready(BaseHandler(), context).handle([[1.0]], context) == [[2.0]]


def test_pickled_objects_name_the_way_out(model_dir):
    (model_dir / "eager_model_c.py").write_text(textwrap.dedent(MODEL))
    torch.save(Doubler(), model_dir / "whole.pt")
    context = context_of(model_dir, serializedFile="whole.pt", modelFile="eager_model_c.py")
    with pytest.raises(RuntimeError, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        BaseHandler().initialize(context)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ({}, "neither serializedFile nor modelFile"),
        ({"serializedFile": "model.so"}, r"model.so is no .pt"),
        ({"modelFile": "missing_model.py"}, "Missing the missing_model.py file"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(model_dir, model, error):
    with pytest.raises(RuntimeError, match=error):
        BaseHandler().initialize(context_of(model_dir, **model))


def test_two_classes_in_the_model_file_are_refused(model_dir):
    (model_dir / "two_models.py").write_text("class A: pass\nclass B: pass\n")
    with pytest.raises(ValueError, match="Expected only one class as model definition"):
        BaseHandler().initialize(context_of(model_dir, modelFile="two_models.py"))


def test_a_model_is_compiled_when_the_config_says_so(model_dir, caplog):
    (model_dir / "eager_model_d.py").write_text(textwrap.dedent(MODEL))
    config = {"pt2": {"compile": {"enable": True, "backend": "eager"}}}
    context = context_of(model_dir, config, modelFile="eager_model_d.py")
    handler = ready(BaseHandler(), context)
    assert type(handler.model).__name__ == "OptimizedModule"
    assert handler.handle([[1.0]], context) == [[2.0]]


def test_a_failing_compilation_leaves_the_model_as_it_is(model_dir, caplog):
    (model_dir / "eager_model_e.py").write_text(textwrap.dedent(MODEL))
    config = {"pt2": {"compile": {"enable": True, "backend": "openvino"}}}
    context = context_of(model_dir, config, modelFile="eager_model_e.py")
    handler = ready(BaseHandler(), context)
    assert type(handler.model).__name__ == "Doubler"
    assert "it runs as it is" in caplog.text


class Described(BaseHandler):
    def describe_handle(self):
        return {"shape": [1]}

    def get_insights(self, data, raw, target=0):
        return [{"input": raw, "target": target}]

    def preprocess(self, data):
        return torch.tensor([row["data"] for row in data])


def test_describe_and_explain_go_their_own_ways(model_dir):
    (model_dir / "eager_model_f.py").write_text(textwrap.dedent(MODEL))
    context = context_of(model_dir, modelFile="eager_model_f.py", headers={"describe": "True"})
    handler = ready(Described(), context)
    assert handler.handle([{}], context) == [{"shape": [1]}]
    context.request_processor = [RequestProcessor({"explain": "True"})]
    assert handler.handle([{"data": [1.0], "target": 3}], context) == [
        {"input": [1.0], "target": 3}
    ]
    context.request_processor = [RequestProcessor({"explain": "False"})]
    assert handler.handle([{"data": [1.0]}], context) == [[2.0]]


def test_names_of_classes_are_loaded(model_dir):
    (model_dir / "eager_model_g.py").write_text(textwrap.dedent(MODEL))
    (model_dir / "index_to_name.json").write_text('{"0": "cat"}')
    assert ready(BaseHandler(), context_of(model_dir, modelFile="eager_model_g.py")).mapping == {
        "0": "cat"
    }


def test_the_profiler_watches_a_batch_when_asked(model_dir, monkeypatch, tmp_path):
    monkeypatch.setattr(profiling, "TRACES", tmp_path / "traces")
    monkeypatch.setenv("ENABLE_TORCH_PROFILER", "true")
    (model_dir / "eager_model_h.py").write_text(textwrap.dedent(MODEL))
    context = context_of(model_dir, modelFile="eager_model_h.py")
    handler = ready(BaseHandler(), context)
    assert handler.handle([[1.0]], context) == [[2.0]]
    assert list((tmp_path / "traces" / "m").iterdir())


def test_a_saved_tensor_goes_through_the_densenet_handler(model_dir):
    (model_dir / "eager_model_i.py").write_text(textwrap.dedent(MODEL))
    torch.save(Doubler().state_dict(), model_dir / "weights.pt")
    context = context_of(model_dir, serializedFile="weights.pt", modelFile="eager_model_i.py")
    buffer = io.BytesIO()
    torch.save(torch.tensor([1.0, 2.0]), buffer)
    (answer,) = ready(DenseNetHandler(), context).handle([{"body": buffer.getvalue()}], context)
    assert answer.tolist() == [2.0, 4.0]


class Flat(VisionHandler):
    image_processing = staticmethod(
        lambda picture: torch.tensor(list(picture.tobytes()), dtype=torch.float32)
    )


def test_an_image_comes_as_bytes_text_or_numbers(model_dir):
    image = pytest.importorskip("PIL.Image")
    (model_dir / "eager_model_j.py").write_text(textwrap.dedent(MODEL))
    context = context_of(model_dir, modelFile="eager_model_j.py", size=3)
    handler = ready(Flat(), context)
    buffer = io.BytesIO()
    picture = image.new("L", (2, 1))
    picture.putdata([1, 2])
    picture.save(buffer, "PNG")
    rows = [
        {"body": bytearray(buffer.getvalue())},
        {"data": base64.b64encode(buffer.getvalue()).decode()},
        {"data": [1.0, 2.0]},
    ]
    assert handler.handle(rows, context) == [[2.0, 4.0]] * 3


def test_texts_of_a_batch_are_classified_each(model_dir):
    (model_dir / "bag_model.py").write_text(
        textwrap.dedent("""
        import torch
        class Bag(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.EmbeddingBag(16, 3)
            def forward(self, tokens, offsets):
                return self.embedding(tokens, offsets)
        """)
    )
    vocabulary = {
        word: index
        for index, word in enumerate(["it", "is", "good", "bad", "it is", "is good", "is bad"])
    }
    torch.save(vocabulary, model_dir / "source_vocab.pt")
    torch.save(Bag().state_dict(), model_dir / "weights.pt")
    context = context_of(model_dir, size=2, serializedFile="weights.pt", modelFile="bag_model.py")
    handler = ready(TextClassifier(), context)
    both = handler.handle([{"body": b"<b>It's</b> good!"}, {"data": "It is bad."}], context)
    context.request_processor = context.request_processor[:1]
    alone = handler.handle([{"data": "It is bad."}], context)
    assert both[1] == pytest.approx(alone[0])
    assert both[0] != pytest.approx(both[1])
    assert list(both[0]) == ["0", "1", "2"]
    assert sum(both[0].values()) == pytest.approx(1.0)


def test_a_missing_vocabulary_says_how_to_pack_it(model_dir):
    (model_dir / "eager_model_k.py").write_text(textwrap.dedent(MODEL))
    with pytest.raises(FileNotFoundError, match=r"--extra-files source_vocab\.pt"):
        TextClassifier().initialize(context_of(model_dir, modelFile="eager_model_k.py"))


def test_an_explanation_without_captum_names_it(model_dir):
    if importlib.util.find_spec("captum"):
        pytest.skip("captum is installed")
    (model_dir / "eager_model_l.py").write_text(textwrap.dedent(MODEL))
    context = context_of(model_dir, modelFile="eager_model_l.py", headers={"explain": "True"})
    pytest.importorskip("PIL.Image")
    handler = ready(Flat(), context)
    with pytest.raises(ImportError, match="needs the package captum"):
        handler.handle([{"data": [1.0, 2.0]}], context)
