from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"workflows": []}),
        ("/", {"workflows": []}),
        ("?limit=0", {"nextPageToken": "0", "workflows": []}),
        ("?limit=5&next_page_token=3", {"workflows": []}),
        ("?limit=lots&next_page_token=-1", {"workflows": []}),
    ],
)
async def test_the_list_of_workflows_is_empty(management, query, expected):
    response = await management.send("GET", f"/workflows{query}")
    assert (response.status, response.json) == (200, expected)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_no_workflow_can_be_registered(management, method):
    response = await management.send(method, "/workflows?url=wf.war")
    assert (response.status, response.json["type"]) == (405, "MethodNotAllowedException")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_workflow_is_not_found(management, method):
    response = await management.send(method, "/workflows/nope")
    assert response.status == 404
    assert response.json == {
        "code": 404,
        "type": "WorkflowNotFoundException",
        "message": "Workflow not found: nope",
    }
    assert (await management.send("PUT", "/workflows/nope")).status == 405
    assert (await management.send("GET", "/workflows/a/b/c")).status == 404


async def test_an_unknown_workflow_predicts_nothing(inference):
    response = await inference.send("POST", "/wfpredict/nope", body=b"x")
    assert (response.status, response.json["type"]) == (404, "WorkflowNotFoundException")
