"""Devices, scaling, precedence and names: pure rules, as tables."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest

from flambeau.archive.manifest import Manifest, ModelEntry, RuntimeType
from flambeau.archive.model_config import ModelConfig
from flambeau.control.devices import SharedRound, VersionRound, listed, usable, usable_ids
from flambeau.control.registry import Registry
from flambeau.control.requests import RegisterModel
from flambeau.control.scaling import Plan, plan, within
from flambeau.control.spec import Defaults, both, settle
from flambeau.errors import (
    BadRequest,
    Conflict,
    DefaultVersionInUse,
    InvalidModel,
    ModelNotFound,
    ModelVersionNotFound,
)

# -- devices


@pytest.mark.parametrize(
    ("detected", "most", "got"),
    [(0, None, 0), (4, None, 4), (4, 2, 2), (2, 4, 2), (4, 0, 0), (4, -1, 0), (0, 3, 0)],
)
def test_the_setting_bounds_what_is_there(detected, most, got):
    assert usable(detected, most) == got


@pytest.mark.parametrize(
    ("environment", "got"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "0"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "0,1, 2"}, 3),
        ({"CUDA_VISIBLE_DEVICES": "1,1,"}, 1),
        ({"HIP_VISIBLE_DEVICES": "0,1"}, 2),
        ({"XPU_VISIBLE_DEVICES": "3"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "0", "HIP_VISIBLE_DEVICES": "0,1"}, 1),
    ],
)
def test_the_environment_may_say_how_many_there_are(environment, got):
    assert listed(environment) == got


def test_the_servers_own_environment_is_asked(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    assert listed() == 2


@pytest.mark.parametrize(
    ("wanted", "devices", "got"),
    [
        (None, 4, None),
        ([], 4, None),
        ([0, 3], 4, [0, 3]),
        ([3, 0, 3], 4, [3, 0, 3]),
        ([0, 4], 4, None),
        ([-1], 4, None),
        ([0], 0, None),
    ],
)
def test_one_id_out_of_range_voids_the_list(wanted, devices, got):
    assert usable_ids(wanted, devices) == got


@pytest.mark.parametrize(
    ("devices", "got"),
    [(0, [None] * 3), (1, [0, 0, 0]), (2, [1, 0, 1]), (4, [1, 2, 3, 0, 1])],
)
def test_plain_workers_go_round_with_the_counter_moved_on_first(devices, got):
    version = VersionRound(SharedRound(devices), "", None)
    assert [version.take() for _ in got] == got


def test_plain_versions_share_one_counter():
    shared = SharedRound(3)
    one, two = VersionRound(shared, "gpu", None), VersionRound(shared, "", None)
    assert [one.take(), two.take(), two.take(), one.take()] == [1, 2, 0, 1]


def test_listed_versions_go_round_their_own_list_from_its_start():
    shared = SharedRound(4)
    one, two = VersionRound(shared, "gpu", [3, 1]), VersionRound(shared, "gpu", [3, 1])
    assert [one.take(), one.take(), one.take()] == [3, 1, 3]
    assert two.take() == 3
    assert VersionRound(shared, "", None).take() == 1, "the shared counter has not moved"


def test_a_voided_list_falls_back_to_the_shared_counter():
    version = VersionRound(SharedRound(2), "gpu", [0, 7])
    assert version.ids is None
    assert [version.take(), version.take()] == [1, 0]


@pytest.mark.parametrize(
    ("devices", "device_type", "shown"),
    [(2, "", "gpu"), (2, "gpu", "gpu"), (2, "cpu", "cpu"), (0, "gpu", "cpu"), (0, "", "cpu")],
)
def test_which_kind_of_device_is_used(devices, device_type, shown):
    version = VersionRound(SharedRound(devices), device_type, [0])
    assert version.device_type == shown
    if shown == "cpu":
        assert (version.take(), version.take_slice(2), version.ids) == (None, [], None)
    else:
        assert (version.take(), version.ids) == (0, [0])


@pytest.mark.parametrize(
    ("devices", "ids", "level", "slices"),
    [
        (4, None, 2, [[0, 1], [2, 3], [0, 1]]),
        (4, None, 1, [[0], [1], [2], [3], [0]]),
        (3, None, 2, [[0, 1], [2, 0], [1, 2]]),
        (4, [3, 1, 0, 2], 2, [[3, 1], [0, 2], [3, 1]]),
        (2, None, 4, [[0, 1], [0, 1]]),
        (4, [0, 9], 4, [[0, 1, 2, 3]]),
    ],
)
def test_parallel_workers_take_neighbours(devices, ids, level, slices):
    version = VersionRound(SharedRound(devices), "gpu", ids)
    assert [version.take_slice(level) for _ in slices] == slices


# -- scaling


@pytest.mark.parametrize(
    ("running", "least", "most", "got"),
    [
        (0, 0, 0, Plan(0, ())),
        (0, 2, 2, Plan(2, ())),
        (1, 3, 3, Plan(2, ())),
        (2, 1, 3, Plan(0, ())),
        (3, 1, 3, Plan(0, ())),
        (3, 1, 1, Plan(0, (2, 1))),
        (2, 0, 0, Plan(0, (1, 0))),
        (4, 0, 2, Plan(0, (3, 2))),
    ],
)
def test_new_bounds_add_up_to_the_least_and_stop_what_is_beyond_the_most(running, least, most, got):
    assert plan(running, within(running, least, most)) == got


@pytest.mark.parametrize(("running", "wanted"), list(product(range(5), repeat=2)))
def test_a_plan_ends_at_what_is_wanted_and_is_then_at_rest(running, wanted):
    first = plan(running, wanted)
    after = running + first.add - len(first.stop)
    assert after == wanted
    assert plan(after, wanted) == Plan(0, ())
    assert list(first.stop) == list(range(running - 1, running - 1 - len(first.stop), -1))


# -- who wins


def settled(
    call: dict | None = None,
    yaml: dict | None = None,
    setting: dict | None = None,
    *,
    defaults: dict | None = None,
    entry: dict | None = None,
    runtime: RuntimeType | None = RuntimeType.PYTHON,
    **how,
):
    """The spec of a version whose values come from a call, a yaml and the models setting."""
    described = {"model_name": "m", "model_version": "2.0", "handler": "h.py"} | (entry or {})
    files = SimpleNamespace(
        manifest=Manifest(runtime=runtime, model=ModelEntry(**described)),
        manifest_document={"a": 1},
        config=ModelConfig(says(**(yaml or {}))),
        config_document={"b": 2},
        config_text="b: 2",
    )
    versions = {"m": {"2.0": setting}} if setting else {}
    startup = (defaults or {}).pop("startup_workers", 1)
    return settle(
        RegisterModel(url="m.mar", **(call or {})),
        files,
        Defaults(defaults or {}, startup, versions),
        **how,
    )


def says(**values) -> dict:
    """What a source gives: None is not given."""
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("call", "yaml", "setting", "got"),
    [
        (None, None, None, 1),
        (None, None, 5, 5),
        (None, 4, 5, 4),
        (3, 4, 5, 3),
        (-1, 4, 5, 4),
        (-1, None, None, 1),
    ],
)
def test_batch_size(call, yaml, setting, got):
    spec = settled({"batch_size": call}, {"batch_size": yaml}, says(batch_size=setting))
    assert spec.batch_size == got


@pytest.mark.parametrize(
    ("call", "yaml", "setting", "got"),
    [
        (None, None, None, 100),
        (None, None, 50, 50),
        (None, 40, 50, 40),
        (30, 40, 50, 30),
        (0, 40, 50, 0),
        (-1, 40, 50, 40),
        (-1, None, None, 100),
        (None, 0, 50, 0),
        (None, 0, None, 0),
    ],
)
def test_max_batch_delay(call, yaml, setting, got):
    spec = settled(
        {"max_batch_delay": call}, {"max_batch_delay": yaml}, says(max_batch_delay=setting)
    )
    assert spec.max_batch_delay == got


@pytest.mark.parametrize("name", ["response_timeout", "startup_timeout"])
@pytest.mark.parametrize(
    ("call", "yaml", "setting", "got"),
    [
        (None, None, None, 77),
        (None, None, 50, 50),
        (40, None, 50, 40),
        (40, 30, 50, 30),
        (None, 30, None, 30),
        (-1, None, 50, 50),
        (-1, None, None, 77),
    ],
)
def test_time_outs(name, call, yaml, setting, got):
    spec = settled({name: call}, {name: yaml}, says(**{name: setting}), defaults={name: 77})
    assert getattr(spec, name) == got


@pytest.mark.parametrize(
    ("call", "yaml", "setting", "startup", "got"),
    [
        # the yaml wins when it gives both and they fit
        (None, (2, 3), None, False, (2, 3)),
        (5, (2, 3), None, False, (2, 3)),
        (0, (2, 3), None, False, (2, 3)),
        (None, (2, 3), (4, 4), True, (2, 3)),
        # else it says nothing
        (5, (3, 2), None, False, (5, 5)),
        (5, (0, 3), None, False, (5, 5)),
        (5, (2, None), None, False, (5, 5)),
        # a call's own number, the default of calls
        (4, None, None, False, (4, 4)),
        (0, None, None, False, (0, 0)),
        (-1, None, None, False, (0, 0)),
        (None, None, None, False, (6, 6)),
        (None, None, (4, 5), False, (6, 6)),
        # at start-up the models setting stands between the yaml and the default
        (None, None, (4, 5), True, (4, 5)),
        (None, None, (5, 4), True, (8, 8)),
        (None, None, (0, 0), True, (8, 8)),
        (None, (3, 2), (4, 5), True, (4, 5)),
        (None, None, None, True, (8, 8)),
    ],
)
def test_workers(call, yaml, setting, startup, got):
    least, most = yaml or (None, None)
    known = says(min_workers=setting[0], max_workers=setting[1]) if setting else None
    spec = settled(
        {"initial_workers": call},
        {"min_workers": least, "max_workers": most},
        known,
        defaults={**both(6), "startup_workers": 8},
        at_startup=startup,
    )
    assert (spec.min_workers, spec.max_workers) == got
    assert spec.loaded_at_startup is startup


@pytest.mark.parametrize(
    ("call", "setting", "manifest", "got"),
    [
        (None, None, RuntimeType.PYTHON, "python"),
        (None, None, RuntimeType.LSP, "LSP"),
        (None, "python3", RuntimeType.PYTHON, "python3"),
        ("python3", "python", RuntimeType.LSP, "python3"),
        ("LSP", None, RuntimeType.PYTHON, "LSP"),
        ("python", None, None, "python"),
        (None, "python", None, "python"),
    ],
)
def test_runtime(call, setting, manifest, got):
    spec = settled({"runtime": call}, None, says(runtime=setting), runtime=manifest)
    assert spec.runtime == got


@pytest.mark.parametrize("wrong", ["PYTHON", "lsp", "cobol", "", " python"])
def test_a_wrong_runtime_is_refused_as_the_contract_says(wrong):
    with pytest.raises(BadRequest) as raised:
        settled({"runtime": wrong})
    assert str(raised.value) == f"Invalid RuntimeType value: {wrong}"


def test_an_archive_of_no_known_runtime_is_refused():
    with pytest.raises(InvalidModel, match=r"^Runtime is not defined or invalid\.$"):
        settled(runtime=None)


@pytest.mark.parametrize(
    ("call", "manifest", "default", "got"),
    [
        (None, "m", "file", "m"),
        ("n", "m", "file", "n"),
        ("  ", "m", "file", "m"),
        ("", None, "file", "file"),
        ("a/b ü", None, "", "a/b ü"),
    ],
)
def test_name(call, manifest, default, got):
    spec = settled({"model_name": call}, entry={"model_name": manifest}, default_name=default)
    assert spec.name == got


def test_a_version_without_any_name_is_refused():
    with pytest.raises(InvalidModel, match=r"^Model name is not defined\.$"):
        settled(entry={"model_name": None})


@pytest.mark.parametrize(
    ("call", "manifest", "got"),
    [
        (None, "h.py", "h.py"),
        ("c.py:f", "h.py", "c.py:f"),
        (" ", None, "d.py"),
        (None, None, "d.py"),
    ],
)
def test_handler(call, manifest, got):
    spec = settled({"handler": call}, entry={"handler": manifest}, defaults={"handler": "d.py"})
    assert spec.handler == got


@pytest.mark.parametrize(("yaml", "got"), [(None, 9), (4, 4)])
def test_queue_size(yaml, got):
    assert settled(None, {"queue_size": yaml}, defaults={"queue_size": 9}).queue_size == got


def test_what_the_archive_brings_travels_along():
    spec = settled()
    assert (spec.version, spec.url) == ("2.0", "m.mar")
    assert (spec.manifest, spec.yaml) == ({"a": 1}, {"b": 2})


def test_the_models_setting_speaks_of_one_name_and_version_only():
    spec = settled({"model_name": "other"}, None, says(batch_size=5))
    assert spec.batch_size == 1


def test_pinned_values_beat_all_others():
    pinned = says(
        min_workers=1,
        max_workers=2,
        batch_size=3,
        max_batch_delay=0,
        response_timeout=5,
        startup_timeout=6,
        runtime="python3",
    )
    everything = {"min_workers": 9, "max_workers": 9, "batch_size": 9, "max_batch_delay": 9}
    spec = settled({"batch_size": 8, "response_timeout": 8}, everything, None, pinned=pinned)
    assert (spec.min_workers, spec.max_workers, spec.batch_size, spec.max_batch_delay) == (
        *(1, 2, 3, 0),
    )
    assert (spec.response_timeout, spec.startup_timeout, spec.runtime) == (5, 6, "python3")


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        *(
            (name, value, 1)
            for name in ("batch_size", "response_timeout", "startup_timeout")
            for value in (0, -2, -(2**31))
        ),
        *(("max_batch_delay", value, 0) for value in (-2, -100, -(2**31))),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(name, value, least):
    with pytest.raises(BadRequest) as raised:
        settled({name: value})
    assert str(raised.value) == f"{name} must be {least} or more, not {value}."


# -- names and versions


def version(name: str, number: str):
    return SimpleNamespace(spec=SimpleNamespace(name=name, version=number))


def filled(*titles: str) -> Registry:
    registry = Registry()
    for title in titles:
        registry.add(version(*title.split()))
    return registry


def test_the_first_version_is_the_default_and_stays_it():
    registry = filled("m 1", "m 2", "n 5")
    assert registry.find("m").spec.version == "1"
    assert registry.find("m", "2").spec.version == "2"
    assert [one.spec.version for one in registry.versions("m")] == ["1", "2"]
    assert [one.spec.version for one in registry.defaults()] == ["1", "5"]
    assert [one.spec.version for one in registry] == ["1", "2", "5"]
    assert registry.is_default(registry.find("m", "1"))
    assert not registry.is_default(registry.find("m", "2"))
    assert not registry.is_default(version("q", "1"))


def test_names_are_in_code_point_order():
    assert filled("b 1", "a1 1", "C 1", "a 1", "ä 1").names() == ["C", "a", "a1", "b", "ä"]


def test_a_version_is_registered_once():
    registry = filled("m 1")
    with pytest.raises(Conflict) as raised:
        registry.add(version("m", "1"))
    assert str(raised.value) == "Model version 1 is already registered for model m"
    registry.refuse_known("m", "2")
    registry.refuse_known("n", "1")


def test_another_default_can_be_chosen():
    registry = filled("m 1", "m 2")
    registry.set_default("m", "2")
    assert registry.find("m").spec.version == "2"
    registry.remove(registry.find("m", "1"))
    assert registry.find("m").spec.version == "2"


def test_the_default_goes_last():
    registry = filled("m 1", "m 2")
    with pytest.raises(DefaultVersionInUse) as raised:
        registry.remove(registry.find("m"))
    assert str(raised.value) == "Cannot remove default version for model m"
    registry.remove(registry.find("m", "2"))
    registry.remove(registry.find("m"))
    assert registry.names() == []


def test_removing_what_is_not_there_any_more_removes_nothing():
    registry = filled("m 1")
    gone = registry.find("m")
    registry.remove(gone)
    registry.remove(gone)
    registry.add(version("m", "1"))
    registry.remove(gone)
    assert registry.names() == ["m"]


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda r: r.find("q"), ModelNotFound, "Model not found: q"),
        (lambda r: r.find("q", "1"), ModelNotFound, "Model not found: q"),
        (lambda r: r.versions("q"), ModelNotFound, "Model not found: q"),
        (lambda r: r.set_default("q", "1"), ModelNotFound, "Model not found: q"),
        (
            lambda r: r.find("m", "9"),
            ModelVersionNotFound,
            "Model version: 9 does not exist for model: m",
        ),
        (
            lambda r: r.set_default("m", "9"),
            ModelVersionNotFound,
            "Model version 9 does not exist for model m",
        ),
    ],
)
def test_what_is_not_there_is_named_in_the_contracts_words(act, error, text):
    with pytest.raises(error) as raised:
        act(filled("m 1"))
    assert type(raised.value) is error
    assert str(raised.value) == text


def test_a_machine_without_accelerators_has_no_next_one():
    assert SharedRound(0).next() is None


def test_a_default_of_zero_is_what_is_left_when_nobody_says_more():
    assert settled(defaults={"queue_size": 0}).queue_size == 0
