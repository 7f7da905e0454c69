from __future__ import annotations

import pytest

from flambeau.errors import UnknownPath
from flambeau.rest.endpoints import ENDPOINTS, served
from flambeau.rest.route import Api, Key, Router, When, WrongMethod

INFERENCE = Router(served([Api.INFERENCE], []))
MANAGEMENT = Router(served([Api.MANAGEMENT], []))
BOTH = Router(served([Api.INFERENCE, Api.MANAGEMENT], list(When)))


def found(router, method, path):
    segments = path.split("/")[1:] if path != "/" else []
    endpoint, values = router.match(method, segments)
    return endpoint.operation, values


@pytest.mark.parametrize(
    ("router", "method", "path", "operation", "values"),
    [
        (INFERENCE, "DELETE", "/ping/any/thing", "ping", {"rest": "any/thing"}),
        (INFERENCE, "GET", "/predictions/m", "predictions", {"model_name": "m"}),
        (
            INFERENCE,
            "POST",
            "/predictions/m/1.0/v1/chat",
            "version_predictions",
            {"model_name": "m", "model_version": "1.0", "rest": "v1/chat"},
        ),
        (INFERENCE, "POST", "/m/predict", "predict", {"model_name": "m"}),
        (INFERENCE, "POST", "/v1/models/a:b:predict", "v1_predictions", {"model_name": "a:b"}),
        (MANAGEMENT, "GET", "/models/all", "describeModel", {"model_name": "all"}),
        (MANAGEMENT, "GET", "/v1/models/a:b", "modelReady", {"model_name": "a:b"}),
        (BOTH, "POST", "/models/m/invoke", "invoke", {"model_name": "m"}),
        (
            BOTH,
            "GET",
            "/models/m/1.0",
            "version_describeModel",
            {"model_name": "m", "model_version": "1.0"},
        ),
    ],
)
def test_a_request_finds_its_row(router, method, path, operation, values):
    assert found(router, method, path) == (operation, values)


@pytest.mark.parametrize(
    ("router", "path"),
    [
        (INFERENCE, "/models/m"),
        (INFERENCE, "/predictions"),
        (INFERENCE, "/invocations/x"),
        (INFERENCE, "/v2/health"),
        (INFERENCE, "/Ping"),
        (MANAGEMENT, "/ping"),
        (MANAGEMENT, "//models"),
        (MANAGEMENT, "/models/m/1.0/extra"),
        (MANAGEMENT, "/token"),
        (MANAGEMENT, "/api-description/x"),
    ],
)
def test_a_path_of_no_row_is_unknown(router, path):
    with pytest.raises(UnknownPath):
        found(router, "GET", path)


@pytest.mark.parametrize("verb", ["train", "predictable"])
def test_an_unknown_verb_is_an_unknown_path(verb):
    with pytest.raises(UnknownPath):
        found(INFERENCE, "POST", f"/v1/models/m:{verb}")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "/models", ("GET", "POST")),
        ("HEAD", "/models/m", ("GET", "PUT", "DELETE", "OPTIONS")),
        ("DELETE", "/models/m/1.0/set-default", ("PUT",)),
        ("POST", "/v1/models/m", ("GET",)),
        ("GET", "/", ("OPTIONS",)),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(method, path, allowed):
    with pytest.raises(WrongMethod) as caught:
        found(MANAGEMENT, method, path)
    assert caught.value.allow == allowed


def test_operations_are_named_once():
    names = [row.operation for row in ENDPOINTS]
    assert len(names) == len(set(names))


def test_only_descriptions_probes_and_metrics_are_open():
    assert {row.path for row in ENDPOINTS if row.key is Key.NONE} == {
        "/",
        "/api-description",
        "/docs",
        "/livez",
        "/metrics",
        "/readyz",
    }


def test_rows_that_change_something_need_more_than_a_reading_token():
    assert {row.operation for row in ENDPOINTS if row.writes} == {
        "registerModel",
        "setAutoScale",
        "unregisterModel",
        "version_setAutoScale",
        "version_unregisterModel",
        "setDefault",
        "unregisterWorkflow",
    }


def test_query_parameters_are_fields_of_the_struct_taken():
    for row in ENDPOINTS:
        fields = row.takes.__struct_fields__ if row.takes else ()
        assert set(row.query) <= set(fields), row.operation
