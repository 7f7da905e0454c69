from __future__ import annotations

import copy

import pytest

from flambeau.transport.messages import JobHead, PartHead, pack_headers
from flambeau.worker.context import Batch, Context, RequestProcessor, attach


def context_of(*jobs: JobHead) -> Context:
    context = Context("m", "/model", {"a": 1}, 8, 0, "0.12.0", True, None, {"k": "v"})
    batch = Batch()
    attach(context, batch)
    batch.begin(list(jobs))
    return context


def job(number=1, headers=(), parts=()):
    return JobHead(number, f"id-{number}", pack_headers(headers), list(parts))


def test_a_context_made_by_hand_has_what_it_was_given():
    context = Context("m", "/model", None, 4, 1, "1.2", False)
    assert context.system_properties == {
        "model_dir": "/model",
        "gpu_id": 1,
        "batch_size": 4,
        "server_name": "MMS",
        "server_version": "1.2",
        "limit_max_image_pixels": False,
    }
    assert context.request_ids is None
    assert context.request_processor is None
    assert context.get_request_id(0) is None
    assert context.cl_socket is None
    assert context.stopping_criteria is None
    assert not context.is_cancelled()


def test_reading_a_header_outside_a_batch_is_a_type_error():
    with pytest.raises(TypeError):
        Context("m", "/model", None, 4, 1, "1.2").get_request_header(0, "x")


def test_ids_and_headers_belong_to_their_request():
    context = context_of(
        job(1, [("X-A", "1"), ("X-A", "2")], [PartHead("body", "text/plain; charset=x", 1)]),
        job(2, [("x-a", "3")]),
    )
    assert context.request_ids == {0: "id-1", 1: "id-2"}
    assert context.get_request_id(1) == "id-2"
    assert context.get_request_id(2) is None
    assert context.get_request_header(0, "X-A") == "2"
    assert context.get_request_header(1, "X-A") is None
    assert context.get_all_request_header(0) == {
        "X-A": "2",
        "body": {"content-type": "text/plain"},
    }


def test_an_input_cannot_pose_as_a_header():
    context = context_of(job(1, [("explain", "False")], [PartHead("explain", "x", 1)]))
    assert context.get_request_header(0, "explain") == "False"


def test_the_status_is_200_without_a_phrase_until_it_is_set():
    context = context_of(job(1), job(2))
    assert context.get_response_status(0) == (200, None)
    context.set_response_status(404, "Gone", 1)
    assert context.get_response_status(1) == (404, "Gone")
    context.set_all_response_status(500, "All")
    assert context.get_response_status(0) == context.get_response_status(1) == (500, "All")


def test_headers_of_the_answer_can_be_read_back():
    context = context_of(job())
    context.set_response_content_type(0, "text/html")
    context.set_response_header(0, "X-Mine", "1")
    assert context.get_response_content_type(0) == "text/html"
    assert context.get_response_headers(0) == {"content-type": "text/html", "X-Mine": "1"}
    assert context.request_processor[0].get_response_header("X-Mine") == "1"


def test_the_sequence_id_is_the_header_the_setting_names():
    context = context_of(job(1, [("ts_request_sequence_id", "s"), ("other", "o")]))
    assert context.get_sequence_id(0) == "s"
    context.header_key_sequence_id = "other"
    assert context.get_sequence_id(0) == "o"


def test_any_attribute_can_be_set_and_stays():
    context = context_of(job())
    for name in ("cache", "kv_cache", "jobs", "link", "begin", "batch"):
        setattr(context, name, name)
        assert getattr(context, name) == name
    assert context.request_ids == {0: "id-1"}


def test_tests_may_put_their_own_processors_and_ids():
    context = Context("m", "/model", None, 1, None, "v")
    context.request_processor = [RequestProcessor({"A": "b"})]
    context.request_ids = {0: "x"}
    assert context.get_request_header(0, "A") == "b"
    assert context.get_request_id() == "x"
    context.metrics = "own"
    assert context.metrics == "own"


def test_contexts_are_equal_when_their_values_are():
    left, right = (Context("m", "d", None, 1, 0, "v") for _ in range(2))
    assert left == right
    right.cache = 1
    assert left != right
    assert left != "context"


def test_a_deep_copy_is_independent():
    context = context_of(job())
    context.cache = {"a": 1}
    other = copy.deepcopy(context)
    other.cache["a"] = 2
    other.set_response_status(404, "", 0)
    assert context.cache == {"a": 1}
    assert context.get_response_status(0) == (200, None)
    assert other.request_ids == {0: "id-1"}


def test_one_context_serves_the_whole_life_of_a_worker(worker):
    one = worker("""
        def handle(data, context):
            if data is None:
                context.cache = []
                return None
            context.cache.append(context.get_request_id())
            return [str(context.cache)]
    """)
    one.predict(b"")
    assert one.predict(b"")[0].body == b"['request-1', 'request-2']"


def test_old_streaming_code_finds_the_socket(worker):
    one = worker("""
        def handle(data, context):
            return None if data is None else [str(context.cl_socket.fileno() >= 0)]
    """)
    assert one.predict(b"")[0].body == b"True"
