"""Health, reflection, binding, TLS, the life of connections, stopping."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from flambeau.grpc.inference_pb2 import PredictionsRequest
from flambeau.grpc.rpcs import INFERENCE, MANAGEMENT, Place
from flambeau.security.tls import Pair

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
SERVING, NOT_SERVING = 1, 2
CERTIFICATE = (Path(__file__).parents[1] / "http" / "localhost.pem").read_bytes()
LIMIT = 10


def about(service=""):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("api", [INFERENCE, MANAGEMENT])
async def test_health_of_the_server_and_of_each_service_is_that_of_the_models(served, plane, api):
    check = served.call("Check", service=HEALTH, api=api)
    name = f"org.pytorch.serve.grpc.{api}.{api.capitalize()}APIsService"
    for service in ("", name):
        plane.is_healthy = True
        assert (await check(about(service))).status == SERVING
        plane.is_healthy = False
        assert (await check(about(service))).status == NOT_SERVING
        plane.is_healthy, plane.lacks = True, ["echo 1.0"]
        assert (await check(about(service))).status == NOT_SERVING
        plane.lacks = []


async def test_the_health_of_an_unknown_service_is_not_found(served, failing):
    error = await failing(served.call("Check", service=HEALTH)(about("nope")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watching_client_is_told_changes_and_the_stop(served, plane):
    watch = served.call("Watch", service=HEALTH)(about())
    assert (await watch.read()).status == SERVING
    plane.is_healthy = False
    assert (await watch.read()).status == NOT_SERVING
    plane.is_healthy = True
    assert (await watch.read()).status == SERVING
    served.servers.close(LIMIT)
    assert (await watch.read()).status == NOT_SERVING
    assert await watch.read() is grpc.aio.EOF


async def test_an_unknown_service_may_be_watched(served):
    watch = served.call("Watch", service=HEALTH)(about("nope"))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


async def test_reflection_lists_the_services_and_describes_them(served):
    call = served.call("ServerReflectionInfo", service=REFLECTION)()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {each.name for each in (await call.read()).list_services_response.service}
    assert listed == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "org.pytorch.serve.grpc.inference.InferenceAPIsService",
        "org.pytorch.serve.grpc.openinference.GRPCInferenceService",
    }
    for name in listed:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        assert (await call.read()).file_descriptor_response.file_descriptor_proto
    await call.done_writing()


async def test_a_port_in_use_is_named(served):
    taken = served.ports[INFERENCE]
    place = Place(api=MANAGEMENT, host="127.0.0.1", port=taken, largest_request=1)
    with pytest.raises(OSError, match=f"127.0.0.1:{taken} .*grpc_management_port"):
        await served.servers.open(place)


async def test_calls_come_over_tls_where_there_is_a_certificate(served):
    place = Place(
        api=INFERENCE,
        host="127.0.0.1",
        port=0,
        largest_request=9999,
        pair=Pair(CERTIFICATE, CERTIFICATE),
    )
    port = await served.servers.open(place)
    credentials = grpc.ssl_channel_credentials(CERTIFICATE)
    named = [("grpc.ssl_target_name_override", "localhost")]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, named) as channel:
        served.channels[INFERENCE], plain = channel, served.channels[INFERENCE]
        assert "Healthy" in (await served.call("Ping")(Empty(), timeout=LIMIT)).health
    served.channels[INFERENCE] = plain


async def test_a_connection_ends_at_its_age(serving):
    served = await serving(connection_age_ms=100, connection_grace_ms=100)
    channel = served.channels[INFERENCE]
    await served.call("Ping")(Empty())
    async with asyncio.timeout(LIMIT):
        while channel.get_state() is grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    await served.call("Ping")(Empty())


async def test_a_running_call_is_answered_when_the_server_stops(served, plane, answers, failing):
    call = served.call("Predictions")(PredictionsRequest(model_name="echo"))
    job = await plane.job()
    served.servers.close(LIMIT)
    await failing(served.call("Ping")(Empty()))
    answers.last(job, b"in time")
    assert (await call).prediction == b"in time"
    await served.servers.finish(LIMIT)


async def test_a_call_that_outlives_the_grace_ends(served, plane, failing):
    call = served.call("Predictions")(PredictionsRequest(model_name="echo"))
    job = await plane.job()
    await served.servers.finish(0.1)
    assert job.cancelled
    error = await failing(call)
    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
