from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from flambeau import parts
from flambeau.config.load import Flags, SourceFile, settle
from flambeau.config.options import Options
from flambeau.errors import ModelNotFound
from flambeau.rest.route import Api
from flambeau.supervision.launcher import LOCAL
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher


def options(**fields) -> Options:
    """The default settings with ``fields`` changed."""
    return Options(**fields)


@pytest.mark.parametrize(("preload", "kind"), [(True, ForkLauncher), (False, SpawnLauncher)])
def test_workers_are_forked_unless_switched_off(preload, kind):
    chosen = options(worker_preload=preload)
    launchers = parts.launchers(chosen, parts.environment_rule(chosen), lambda *_: None)
    assert {name: type(each) for name, each in launchers.named.items()} == {LOCAL: kind}


def test_the_rule_hides_what_the_setting_names(monkeypatch):
    monkeypatch.setenv("FLAMBEAU_TOKEN", "x")
    rule = parts.environment_rule(options(blacklist_env_vars="FLAMBEAU_.*"))
    assert "FLAMBEAU_TOKEN" not in rule.inherited()


def test_each_address_is_opened_once_with_its_apis():
    same = "http://127.0.0.1:8080"
    other = "http://127.0.0.1:8082"
    assert parts.addresses(
        options(inference_address=same, management_address=same, metrics_address=other)
    ) == {same: [Api.INFERENCE, Api.MANAGEMENT], other: [Api.METRICS]}
    quiet = options(
        inference_address=same,
        management_address="http://127.0.0.1:8081",
        metrics_address=other,
        enable_metrics_api=False,
    )
    assert list(parts.addresses(quiet)) == [same, "http://127.0.0.1:8081"]


@pytest.mark.parametrize(
    ("visible", "most", "got"),
    [("0,1,2", None, 3), ("0,1,2", 2, 2), ("", None, 0), ("0", 4, 1)],
)
def test_devices_are_those_that_are_visible_and_allowed(monkeypatch, visible, most, got):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert parts.devices(options(number_of_gpu=most)) == got


@pytest.mark.parametrize(
    ("workers", "visible", "got"), [(3, "0,1", 3), (0, "0,1", 2), (0, "", os.cpu_count())]
)
def test_start_up_workers_follow_setting_devices_processors(monkeypatch, workers, visible, got):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    settled = parts.defaults(options(default_workers_per_model=workers))
    assert settled.startup_workers == got
    assert settled.values["min_workers"] == settled.values["max_workers"] == workers


def test_defaults_of_models_reach_their_version():
    text = (
        "job_queue_size=7\ndefault_response_timeout=8\ndefault_startup_timeout=9\n"
        'models={"m": {"1.0": {"minWorkers": 2, "maxWorkers": 3, "batchSize": 4, '
        '"maxBatchDelay": 5, "responseTimeout": 6, "startupTimeout": 0, '
        '"runtimeType": "python3"}}}\n'
    )
    loaded = settle(Flags(), {}, Path("/"), SourceFile(Path("/config.properties"), text))
    found = parts.defaults(loaded.options)
    assert [found.values[name] for name in ("queue_size", "response_timeout")] == [7, 8]
    assert found.values["startup_timeout"] == 9
    assert found.of("m", "1.0") == {
        "runtime": "python3",
        "min_workers": 2,
        "max_workers": 3,
        "batch_size": 4,
        "max_batch_delay": 5,
        "response_timeout": 6,
    }
    assert found.of("m", "2.0") == found.of("other", "1.0")


def test_the_workshop_holds_what_the_settings_say():
    chosen = options(
        prefetch_ms=2.5,
        max_prefetch=3,
        decode_input_request=False,
        max_response_size=11,
        service_envelope="json",
    )
    rule = parts.environment_rule(chosen)
    launchers = parts.launchers(chosen, rule, lambda *_: None)
    shop = parts.workshop(chosen, launchers, rule, iter(range(9)).__next__)
    assert (shop.prefetch.seconds, shop.prefetch.most) == (0.0025, 3)
    assert shop.worker_environment["TS_DECODE_INPUT_REQUEST"] == "false"
    told = shop.settings
    assert (told.max_response_size, told.envelope, told.decode_input_request) == (11, "json", False)


def test_limits_are_those_of_the_settings():
    limits = parts.limits(options(max_request_size=5, max_connections=6))
    assert (limits.body, limits.connections) == (5, 6)


def test_only_headers_that_are_set_are_sent():
    assert parts.cors(options()) == []
    assert parts.cors(options(cors_allowed_origin="*", cors_allowed_headers="X")) == [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Headers", "X"),
    ]


def test_the_store_is_the_folder_of_the_setting(tmp_path):
    store = parts.model_store(options(model_store=tmp_path), tmp_path / "temp")
    with pytest.raises(ModelNotFound):
        store.fetch("absent.mar")


def test_the_loop_is_the_fast_one_where_it_is_installed():
    loop = parts.loop_factory()()
    try:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        uvloop = pytest.importorskip("uvloop")
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()


def test_without_the_fast_loop_there_is_the_plain_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert parts.loop_factory() is asyncio.new_event_loop


def test_tokens_can_be_switched_off():
    assert parts.gate(options(disable_token_authorization=True)).tokens is None


def test_tokens_are_kept_where_the_server_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gate = parts.gate(options(disable_token_authorization=False))
    assert gate.tokens is not None
    assert (tmp_path / parts.KEY_FILE).exists()
    assert Path(parts.KEY_FILE).stat().st_mode & 0o077 == 0
