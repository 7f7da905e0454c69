"""Both API descriptions as a fuzzer reads them: a hundred made-up calls to every operation.

No call may be answered with a 5xx, nor with a status or a body that the description does not name
for it. The calls go to a real server with a model that answers.
"""

from __future__ import annotations

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

load_all_checks()
OURS = [status_code_conformance, content_type_conformance, response_schema_conformance]
"""What is checked where the answer is the server's own; a handler's may be of any form."""
EXAMPLES = 100
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
RUNNABLE = 3
"""The machine under test runs fewer workers than this; the server refuses more than it may start."""
WORKER_NUMBERS = {"min_worker", "max_worker", "min_workers", "max_workers", "initial_workers"}
GOOD = {"model_name": "echo", "model_version": "1.0", "url": "echo.mar"}
"""Values that lead past the first check; half of the calls use them."""


@pytest.fixture
def server(serve):
    return serve(
        {"echo.mar": {"echo.py": ECHO}},
        models="echo.mar",
        settings={"allowed_urls": "https://models.example/.*"},
    )


def calls(operation):
    """Made-up cases for ``operation``: as described, and broken on purpose where that is possible."""
    ways = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if operation.query or operation.body:
        ways.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    return st.one_of(*ways)


def steered(case, good):
    """``case`` with good values where ``good`` says so, and worker counts a machine can run."""
    places = [
        each for each in (case.path_parameters, case.query, case.body) if isinstance(each, dict)
    ]
    for place in places:
        if good:
            place.update({name: value for name, value in GOOD.items() if name in place})
        for name in WORKER_NUMBERS & place.keys():
            place[name] = tamed(place[name])
    return case


def tamed(value):
    try:
        number = int(value)
    except (TypeError, ValueError):
        return value
    return number if number < 0 or number > 1024 else number % RUNNABLE


def fuzz(operation, address):
    """Make up calls to one operation; raises at the first answer that is not as described."""
    described = operation.definition.raw["responses"].get("200", {}).get("content", {})
    checks = OURS[:1] if "*/*" in described else OURS
    with requests.Session() as session:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=calls(operation), good=st.booleans())
        def ask(case, good):
            response = steered(case, good).call(base_url=address, session=session, timeout=60)
            assert response.status_code < 500, response.text
            case.validate_response(response, checks=checks)

        ask()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("api", ["inference", "management"])
def test_no_made_up_call_is_answered_otherwise_than_described(server, api):
    address = getattr(server, api)
    schema = schemathesis.openapi.from_url(f"{address}/api-description")
    failures = []
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        if operation.path == "/metrics":
            continue  # served elsewhere
        server.register("echo.mar")  # an earlier call may have unregistered it
        server.client.put(f"{server.management}/models/echo?min_worker=1&synchronous=true")
        try:
            fuzz(operation, address)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all operations are tried, then told together
            failures.append(f"{operation.label}: {error}")
    assert failures == [], "\n\n".join(failures)
    assert httpx.get(f"{server.inference}/livez").status_code == 200
