from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from flambeau.config.options import Options
from flambeau.config.setting import Effect
from flambeau.config.table import rows, value_of
from flambeau.config.values import Batching, MetricsMode, ModelDefaults

# Every key of the original's configuration; the table must know each of them.
ORIGINAL_KEYS = """
inference_address management_address metrics_address grpc_inference_address
grpc_management_address grpc_inference_port grpc_management_port
grpc_inference_max_connection_age_ms grpc_management_max_connection_age_ms
grpc_inference_max_connection_age_grace_ms grpc_management_max_connection_age_grace_ms
enable_grpc_ssl keystore keystore_pass keystore_type private_key_file certificate_file
cors_allowed_origin cors_allowed_methods cors_allowed_headers max_request_size max_response_size
enable_metrics_api prefer_direct_buffer number_of_netty_threads netty_client_threads use_native_io
io_ratio model_store workflow_store load_models models model_snapshot default_workers_per_model
job_queue_size default_response_timeout default_startup_timeout unregister_model_timeout
number_of_gpu initial_worker_port initial_distribution_port default_service_handler
service_envelope install_py_dep_per_model allowed_urls use_env_allowed_urls decode_input_request
limit_max_image_pixels blacklist_env_vars ipex_enable ipex_gpu_enable cpu_launcher_enable
cpu_launcher_args enable_model_api disable_token_authorization token_expiration_min
ts_open_inference_protocol ts_header_key_sequence_id ts_header_key_sequence_start
ts_header_key_sequence_end debug metrics_mode metrics_config model_metrics_auto_detect
disable_system_metrics system_metrics_cmd metric_time_interval async_logging cpp_log_config
model_server_home python enable_envvars_config vmargs plugins_path NUM_WORKERS tsConfigFile version
"""

OWN_KEYS = """
batching drain_timeout worker_preload prefetch_ms max_prefetch header_timeout body_timeout
idle_timeout max_connections max_archive_size max_unpacked_size max_archive_members
download_timeout log_format tokens_file
"""


@pytest.mark.parametrize("key", [*ORIGINAL_KEYS.split(), *OWN_KEYS.split()])
def test_the_table_knows_the_key(key):
    assert rows()[key].setting.in_file


@pytest.mark.parametrize("row", rows().values(), ids=rows().keys())
def test_every_setting_has_a_sentence_and_a_default_of_its_own_type(row):
    assert re.fullmatch(r"[A-Za-z].{6,140}\.", row.setting.sentence)
    if row.default is None:
        assert row.optional
    elif isinstance(row.type, type):
        assert isinstance(row.default, row.type)
    else:
        assert row.default == {}


WITH_TEXT = {
    key: row for key, row in rows().items() if row.setting.in_file and row.default not in (None, {})
}


@pytest.mark.parametrize("row", WITH_TEXT.values(), ids=WITH_TEXT.keys())
def test_a_default_written_into_the_file_means_itself(row):
    text = str(row.default).lower() if row.type is bool else str(row.default)
    assert value_of(row, text) == row.default


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("job_queue_size", "TS_JOB_QUEUE_SIZE"),
        ("token_expiration_min", "TS_TOKEN_EXPIRATION_TIME_MIN"),
        ("ts_open_inference_protocol", "TS_OPEN_INFERENCE_PROTOCOL"),
        ("ts_header_key_sequence_id", "TS_HEADER_KEY_SEQUENCE_ID"),
        ("batching", "TS_BATCHING"),
        ("models", None),
        ("use_native_io", None),
        ("metric_time_interval", None),
        ("vmargs", None),
    ],
)
def test_the_environment_name_follows_the_rule_or_the_row(key, name):
    assert rows()[key].env == name


@pytest.mark.parametrize(("text", "value"), [("true", True), ("TRUE", True), ("true ", True)])
def test_only_the_word_true_is_true(text, value):
    assert value_of(rows()["debug"], text) is value


@pytest.mark.parametrize("text", ["1", "yes", "on", "t", "false", ""])
def test_any_other_word_is_false(text):
    assert value_of(rows()["debug"], text) is False


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("+7", 7), ("007", 7), (" 7 ", 7)])
def test_integers_are_read_as_java_reads_them(text, value):
    assert value_of(rows()["job_queue_size"], text) == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "1_0", "0x10", "-1", "0", "9" * 40])
def test_a_bad_integer_says_what_is_expected(text):
    with pytest.raises(ValueError, match="expected an integer, at least 1"):
        value_of(rows()["job_queue_size"], text)


@pytest.mark.parametrize("text", ["x", "", "nan", "inf", "-0.5"])
def test_a_bad_number_says_what_is_expected(text):
    with pytest.raises(ValueError, match="expected a number, at least 0"):
        value_of(rows()["drain_timeout"], text)


def test_numbers_may_have_fractions():
    assert value_of(rows()["token_expiration_min"], "0.05") == 0.05


def test_a_blank_optional_value_is_not_given():
    assert value_of(rows()["number_of_gpu"], " ") is None
    assert value_of(rows()["keystore"], "") is None


def test_words_of_a_list_ignore_case_and_blanks():
    assert value_of(rows()["metrics_mode"], " Prometheus ") is MetricsMode.PROMETHEUS
    assert value_of(rows()["batching"], "STRICT") is Batching.STRICT


def test_a_word_that_is_not_in_the_list_names_the_list():
    with pytest.raises(ValueError, match="expected one of adaptive, strict"):
        value_of(rows()["batching"], "eager")


@pytest.mark.parametrize("key", ["blacklist_env_vars", "allowed_urls"])
def test_a_broken_regular_expression_is_refused(key):
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        value_of(rows()[key], "(")


def test_each_expression_of_a_list_is_checked_by_itself():
    assert value_of(rows()["allowed_urls"], "a.*,b") == "a.*,b"
    with pytest.raises(ValueError, match=r"'\(' is no regular"):
        value_of(rows()["allowed_urls"], "a,(,b")


def test_model_defaults_are_typed_and_zero_means_not_given():
    text = '{"m": {"1.0": {"minWorkers": 2, "batchSize": 0, "maxBatchDelay": -5, "x": 1}}}'
    assert value_of(rows()["models"], text) == {"m": {"1.0": ModelDefaults(min_workers=2)}}


def test_model_defaults_may_write_numbers_as_text():
    text = '{"m": {"1.0": {"responseTimeout": "22", "defaultVersion": true, "marName": "m.mar"}}}'
    [defaults] = value_of(rows()["models"], text)["m"].values()
    assert defaults == ModelDefaults(response_timeout=22, default_version=True, mar_name="m.mar")


@pytest.mark.parametrize("text", ["{", '{"m": 3}', '{"m": {"1.0": {"minWorkers": "x"}}}', "[]"])
def test_broken_model_defaults_are_refused_with_the_place(text):
    with pytest.raises(ValueError, match="expected JSON such as"):
        value_of(rows()["models"], text)


def test_a_snapshot_is_typed_and_its_timeouts_may_be_missing():
    text = """{"models": {"m": {"1.0": {"defaultVersion": true, "marName": "m.mar",
        "minWorkers": 1, "maxWorkers": 2, "batchSize": 4, "maxBatchDelay": 50}}}}"""
    snapshot = value_of(rows()["model_snapshot"], text)
    model = snapshot.models["m"]["1.0"]
    assert (model.mar_name, model.min_workers, model.max_workers) == ("m.mar", 1, 2)
    assert (model.response_timeout, model.startup_timeout, model.runtime) == (None, None, None)
    assert snapshot.created is None


def test_a_snapshot_without_a_mandatory_value_names_it():
    text = '{"models": {"m": {"1.0": {"defaultVersion": true}}}}'
    with pytest.raises(ValueError, match="marName"):
        value_of(rows()["model_snapshot"], text)


def test_paths_are_paths():
    assert value_of(rows()["model_store"], "a b/c") == Path("a b/c")


def test_default_ports_depend_on_the_address():
    given = {
        "inference_address": ("http://h:80", "https://h:443"),
        "management_address": ("http://h:8081", "https://h:8444"),
        "metrics_address": ("http://h:8082", "https://h:8445"),
    }
    for key, (plain, tls) in given.items():
        assert value_of(rows()[key], "http://h") == plain
        assert value_of(rows()[key], "https://h") == tls


def test_jvm_settings_have_no_effect_and_say_so():
    for key in ("number_of_netty_threads", "vmargs", "use_native_io", "plugins_path"):
        assert rows()[key].setting.effect is Effect.NONE


def test_options_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        Options().job_queue_size = 3
    assert msgspec.structs.replace(Options(), job_queue_size=3).job_queue_size == 3
