"""Where a request meets a version, with versions that really answer."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from flambeau.control.registry import Registry
from flambeau.control.routing import Routing
from flambeau.errors import ModelNotFound, ModelVersionNotFound
from flambeau.jobs.job import Job
from flambeau.transport.messages import NO_HEADERS, pack_headers, unpack_headers


def tells(version: str) -> str:
    return f"""
        def handle(data, context):
            return None if data is None else ["{version}"] * len(data)
    """


def job_of(key: str = "") -> Job:
    headers = pack_headers([("X-User", key)]) if key else NO_HEADERS
    return Job("r", headers, [], lambda *_: None)


@pytest.fixture
async def routed(live):
    """A routing over model ``m`` with versions 1.0 (the default one) and 2.0."""
    registry = Registry()
    for version in ("1.0", "2.0"):
        registry.add((await live(tells(version), version=version)).version)
    return Routing(registry)


def sticky(percent: int):
    """A canary: so many of the users meet 2.0, and each of them always the same version."""

    def route(versions, job):
        user = dict(unpack_headers(job.headers)).get("X-User", job.request_id)
        spot = int.from_bytes(blake2b(user.encode(), digest_size=4).digest()) % 100
        return "2.0" if "2.0" in versions and spot < percent else None

    return route


async def test_a_version_that_is_named_is_met_exactly(routed):
    job = job_of()
    assert routed.pick("m", "2.0", job).spec.version == "2.0"
    assert job.version_given
    routed.set_route("m", lambda *_: "2.0")
    assert routed.pick("m", "1.0", job_of()).spec.version == "1.0"


async def test_without_a_route_the_default_version_answers(routed):
    job = job_of()
    assert routed.pick("m", None, job).spec.version == "1.0"
    assert not job.version_given


async def test_a_route_shares_out_those_that_name_no_version(routed, told):
    routed.set_route("m", sticky(30))
    met = {}
    for user in map(str, range(200)):
        met[user] = routed.pick("m", None, job_of(user)).spec.version
        assert routed.pick("m", None, job_of(user)).spec.version == met[user]
    assert 30 < list(met.values()).count("2.0") < 90
    routed.set_route("m", sticky(60))
    for user, before in met.items():
        if before == "2.0":  # whoever met the new version goes on meeting it
            assert routed.pick("m", None, job_of(user)).spec.version == "2.0"
    routed.set_route("m", None)
    assert {routed.pick("m", None, job_of(user)).spec.version for user in met} == {"1.0"}


async def test_what_does_not_exist_is_said(routed):
    with pytest.raises(ModelNotFound, match="Model not found: x"):
        routed.pick("x", None, job_of())
    with pytest.raises(ModelVersionNotFound, match="3"):
        routed.pick("m", "3", job_of())
    routed.set_route("m", lambda *_: "gone")
    with pytest.raises(ModelVersionNotFound, match="gone"):
        routed.pick("m", None, job_of())
