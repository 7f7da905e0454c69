from __future__ import annotations

import re
from pathlib import Path

import pytest

from flambeau import config
from flambeau.config.load import Flags, SourceFile, chosen_file, load, newest_snapshot, settle
from flambeau.config.setting import ConfigurationError, Effect
from flambeau.config.table import rows
from flambeau.config.values import MetricsMode

CWD = Path("/srv/models")
FILE = CWD / "config.properties"


def settled(text="", environment=None, **flags):
    return settle(Flags(**flags), environment or {}, CWD, SourceFile(FILE, text))


def options(text="", environment=None, **flags):
    return settled(text, environment, **flags).options


# --- who wins


def test_defaults_hold_where_nothing_is_given():
    assert options().job_queue_size == 100
    assert options().inference_address == "http://127.0.0.1:8080"


def test_the_file_beats_the_defaults():
    assert options("job_queue_size=7").job_queue_size == 7


def test_the_last_of_two_equal_keys_counts_and_is_told():
    loaded = settled("job_queue_size=7\njob_queue_size=8")
    assert loaded.options.job_queue_size == 8
    assert "config.properties:2: job_queue_size was set in line 1; this one counts" in (
        loaded.notices
    )


def test_the_command_line_beats_the_file():
    found = options(
        "model_store=/a\nworkflow_store=/b\nload_models=all",
        model_store="store",
        workflow_store="/flows",
        models=("a.mar", "b=b.mar"),
    )
    assert found.model_store == CWD / "store"
    assert found.workflow_store == Path("/flows")
    assert found.load_models == "a.mar,b=b.mar"


def test_any_setting_given_by_key_counts_as_command_line():
    assert options("batching=strict", overrides={"batching": "adaptive"}).batching == "adaptive"


ENABLED = "enable_envvars_config=true\n"


def test_the_environment_is_not_read_without_its_switch():
    loaded = settled("job_queue_size=7", {"TS_JOB_QUEUE_SIZE": "9"})
    assert loaded.options.job_queue_size == 7
    assert (
        "TS_JOB_QUEUE_SIZE is set but not read: "
        "the configuration file must say enable_envvars_config=true"
    ) in loaded.notices


def test_the_environment_beats_the_file_with_its_switch():
    assert options(ENABLED + "job_queue_size=7", {"TS_JOB_QUEUE_SIZE": "9"}).job_queue_size == 9


def test_the_environment_beats_the_command_line_with_its_switch():
    found = options(ENABLED, {"TS_MODEL_STORE": "/e"}, model_store="/cli")
    assert found.model_store == Path("/e")


def test_a_blank_variable_is_not_given():
    assert options(ENABLED + "job_queue_size=7", {"TS_JOB_QUEUE_SIZE": ""}).job_queue_size == 7


TOKEN_SWITCH = "TS_DISABLE_TOKEN_AUTHORIZATION"


@pytest.mark.parametrize(
    ("text", "environment", "flag", "off"),
    [
        ("", {}, False, False),
        ("disable_token_authorization=true", {}, False, True),
        ("disable_token_authorization=TRUE", {}, False, True),
        ("disable_token_authorization=1", {}, False, False),
        ("disable_token_authorization=false", {}, True, True),
        ("", {TOKEN_SWITCH: "true"}, False, False),
        (ENABLED, {TOKEN_SWITCH: "true"}, False, True),
        (ENABLED, {TOKEN_SWITCH: "false"}, True, False),
        (ENABLED + "disable_token_authorization=true", {TOKEN_SWITCH: "false"}, False, False),
    ],
)
def test_tokens_are_switched_by_the_strongest_voice(text, environment, flag, off):
    found = options(text, environment, disable_token_auth=flag)
    assert found.disable_token_authorization is off


@pytest.mark.parametrize(
    ("text", "environment", "flag", "on"),
    [
        ("enable_model_api=true", {}, False, True),
        ("enable_model_api=false", {}, True, True),
        ("", {"TS_ENABLE_MODEL_API": "true"}, False, False),
        (ENABLED, {"TS_ENABLE_MODEL_API": "true"}, False, True),
        (ENABLED, {"TS_ENABLE_MODEL_API": "false"}, True, False),
    ],
)
def test_registration_is_switched_by_the_strongest_voice(text, environment, flag, on):
    assert options(text, environment, enable_model_api=flag).enable_model_api is on


def test_allowed_urls_of_the_environment_need_a_switch_of_their_own():
    environment = {"TS_ALLOWED_URLS": "https://a/.*"}
    assert options(ENABLED, environment).allowed_urls == "file://.*|http(s)?://.*"
    both = ENABLED + "use_env_allowed_urls=true"
    assert options(both, environment).allowed_urls == "https://a/.*"
    assert options("use_env_allowed_urls=true", environment).allowed_urls != "https://a/.*"


def test_the_token_expiry_has_a_name_of_its_own():
    right = options(ENABLED, {"TS_TOKEN_EXPIRATION_TIME_MIN": "5"})
    wrong = settled(ENABLED, {"TS_TOKEN_EXPIRATION_MIN": "5"})
    assert right.token_expiration_min == 5.0
    assert wrong.options.token_expiration_min == 60.0
    assert any("did you mean TS_TOKEN_EXPIRATION_TIME_MIN?" in said for said in wrong.notices)


@pytest.mark.parametrize(
    ("text", "value", "on"),
    [
        ("", "oip", True),
        ("", "true", False),
        ("ts_open_inference_protocol=true", None, True),
        ("ts_open_inference_protocol=true", "", True),
        ("ts_open_inference_protocol=true", "off", False),
        (ENABLED, "true", False),
        (ENABLED, "oip", True),
    ],
)
def test_the_inference_protocol_variable_is_always_read_and_only_oip_means_on(text, value, on):
    environment = {} if value is None else {"TS_OPEN_INFERENCE_PROTOCOL": value}
    assert options(text, environment).ts_open_inference_protocol is on


def test_a_setting_without_an_environment_name_cannot_be_set_there():
    assert options(ENABLED, {"TS_METRIC_TIME_INTERVAL": "5"}).metric_time_interval == 60


# --- variables, paths, bad values


def test_variables_of_the_file_are_replaced_in_any_value():
    found = options(
        "inference_address=http://$$H$$:$$P$$\nload_models=$$M$$", {"H": "h", "P": "1", "M": "all"}
    )
    assert found.inference_address == "http://h:1"
    assert found.load_models == "all"


def test_an_unset_variable_stops_the_start():
    with pytest.raises(ConfigurationError, match=r"^Invalid configuration: Invalid Environment"):
        options("load_models=$$NOT_SET$$")


def test_relative_paths_start_at_the_working_directory():
    found = options("model_store=store\nprivate_key_file=/k.pem")
    assert found.model_store == CWD / "store"
    assert found.private_key_file == Path("/k.pem")
    assert found.log_location == CWD / "logs"


def test_the_workflow_store_is_the_model_store_unless_given():
    assert options("model_store=/s").workflow_store == Path("/s")


def test_bad_values_are_all_named_with_their_places():
    with pytest.raises(ConfigurationError) as caught:
        options(
            "# head\njob_queue_size=many\ninference_address=here\n" + ENABLED,
            {"TS_MAX_REQUEST_SIZE": "big"},
            overrides={"batching": "none"},
        )
    text = str(caught.value)
    assert text.startswith("Invalid configuration: ")
    assert "config.properties:2: job_queue_size=many: expected an integer, at least 1" in text
    assert "config.properties:3: inference_address=here: Invalid binding address" in text
    assert "environment variable TS_MAX_REQUEST_SIZE: max_request_size=big: expected" in text
    assert "setting batching: batching=none: expected one of adaptive, strict" in text


def test_an_expiry_that_is_no_number_is_reported_and_sixty_used():
    loaded = settled("token_expiration_min=soon")
    assert loaded.options.token_expiration_min == 60.0
    assert any("token_expiration_min=soon: expected a number; 60.0" in n for n in loaded.notices)


def test_an_unknown_metrics_mode_is_reported_and_log_used():
    loaded = settled("metrics_mode=statsd")
    assert loaded.options.metrics_mode is MetricsMode.LOG
    assert any("metrics_mode=statsd" in said and "log is used" in said for said in loaded.notices)


# --- what is said at start


def test_an_unknown_key_is_kept_and_reported_with_a_likely_meaning():
    loaded = settled("job_que_size=3\nzzz=1")
    assert loaded.options.kept == {"job_que_size": "3", "zzz": "1"}
    assert (
        "config.properties:1: unknown setting job_que_size (did you mean job_queue_size?)"
        in loaded.notices
    )
    assert "config.properties:2: unknown setting zzz" in loaded.notices


@pytest.mark.parametrize(
    ("text", "flags", "place"),
    [
        ("cpu_launcher_enable=true", {}, "config.properties:1: cpu_launcher_enable"),
        ("", {"overrides": {"debug": "true"}}, "setting debug: debug"),
    ],
)
def test_a_setting_that_is_not_built_yet_is_reported_wherever_it_comes_from(text, flags, place):
    assert f"{place} is known but not yet in effect" in settled(text, **flags).notices


def test_every_setting_that_is_said_to_have_an_effect_is_read_by_somebody():
    package = Path(config.__file__).parents[1]
    readers = ("server.py", "parts.py", "config/load.py", "versions/table.py")
    text = "".join((package / name).read_text() for name in readers)
    unread = [
        key
        for key, row in rows().items()
        if row.setting.effect is Effect.NOW and not re.search(rf'options\.{key}\b|"{key}"', text)
    ]
    assert unread == []


def test_a_jvm_setting_is_reported_as_without_meaning():
    loaded = settled("vmargs=-Xmx1g", plugins_path="/p")
    assert any(
        said.startswith("config.properties:1: vmargs has no meaning") for said in loaded.notices
    )
    assert any(
        said.startswith("--plugins-path: plugins_path has no meaning") for said in loaded.notices
    )


def test_a_word_other_than_true_and_false_is_reported():
    loaded = settled("enable_model_api=yes")
    assert any("enable_model_api=yes is read as false" in said for said in loaded.notices)


def test_a_value_that_only_the_command_line_brings_is_reported_in_a_file():
    loaded = settled("snapshots=false\nlog_location=/x")
    assert loaded.options.snapshots is True
    assert "config.properties:1: snapshots cannot be set in a file; use --ncs" in loaded.notices
    assert (
        "config.properties:2: log_location cannot be set in a file; use LOG_LOCATION"
        in loaded.notices
    )


def test_the_wide_default_of_allowed_urls_is_warned_of():
    assert any(said.startswith("allowed_urls is the wide default") for said in settled().notices)
    narrow = settled("allowed_urls=https://models.example/.*")
    assert not any("allowed_urls" in said for said in narrow.notices)


def test_a_complete_plain_file_causes_no_notice():
    text = """
        inference_address=http://127.0.0.1:8080
        disable_token_authorization=false
        allowed_urls=https://models.example/.*
        job_queue_size=7
    """
    assert settled(text, {"HOME": "/root", "TSAN": "1"}).notices == []


# --- what belongs to one run


def test_log_folders_come_from_the_environment():
    found = options("", {"LOG_LOCATION": "/l"})
    assert (found.log_location, found.metrics_location) == (Path("/l"), Path("/l"))
    both = options("", {"LOG_LOCATION": "/l", "METRICS_LOCATION": "m"})
    assert both.metrics_location == CWD / "m"


@pytest.mark.parametrize(
    "argument", ["file:///etc/log4j2.xml", "/etc/log4j2.xml", "file:/etc/log4j2.xml"]
)
def test_the_log_configuration_is_taken_from_jvm_arguments(argument):
    text = f"vmargs=-Xmx1g -Dlog4j.configurationFile={argument} -Da=b"
    assert options(text).log_config == Path("/etc/log4j2.xml")


def test_the_flag_beats_the_log_configuration_of_jvm_arguments():
    text = "vmargs=-Dlog4j.configurationFile=/old.xml"
    assert options(text, log_config="new.xml").log_config == CWD / "new.xml"


def test_a_temporary_folder_that_is_none_stops_the_start():
    with pytest.raises(ConfigurationError, match="TEMP=/nowhere/at/all: expected an existing"):
        options("", {"TEMP": "/nowhere/at/all"})


def test_the_temporary_folder_is_handed_on(tmp_path):
    assert options("", {"TEMP": str(tmp_path)}).temp_dir == tmp_path


# --- which file


def test_the_variable_beats_the_flag_and_the_flag_the_rest(tmp_path):
    (tmp_path / "config.properties").touch()
    both = {"TS_CONFIG_FILE": "env.properties"}
    flags = Flags(ts_config="flag.properties")
    assert chosen_file(flags, both, tmp_path) == tmp_path / "env.properties"
    assert chosen_file(flags, {}, tmp_path) == tmp_path / "flag.properties"
    assert chosen_file(Flags(), {}, tmp_path) == tmp_path / "config.properties"


def test_without_any_file_the_defaults_hold(tmp_path):
    assert chosen_file(Flags(), {}, tmp_path) is None
    assert load(Flags(), {}, tmp_path).options.config_file is None


def snapshot(folder, name, text=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


EMPTY = 'model_snapshot={"models": {}}\n'


def test_the_newest_snapshot_beats_the_file_of_the_folder_unless_switched_off(tmp_path):
    (tmp_path / "config.properties").write_text("job_queue_size=7")
    folder = tmp_path / "logs" / "config"
    snapshot(folder, "20260101000000001-startup.cfg", f"job_queue_size=1\n{EMPTY}")
    newest = snapshot(folder, "20260102000000000-shutdown.cfg", f"job_queue_size=2\n{EMPTY}")
    loaded = load(Flags(), {}, tmp_path)
    assert loaded.options.job_queue_size == 2
    assert loaded.options.config_file == newest
    assert any(f"is the snapshot {newest}" in said for said in loaded.notices)
    assert load(Flags(snapshots=False), {}, tmp_path).options.job_queue_size == 7


def test_snapshots_are_looked_for_where_the_logs_are(tmp_path):
    folder = tmp_path / "elsewhere"
    snapshot(folder / "config", "20260101000000001-snapshot.cfg", f"job_queue_size=1\n{EMPTY}")
    assert load(Flags(), {"LOG_LOCATION": str(folder)}, tmp_path).options.job_queue_size == 1


def test_odd_names_among_the_snapshots_are_left_alone(tmp_path):
    for odd in ("notes.cfg", "99999999999999999-other.cfg", "x-startup.cfg", "9-startup.cfg.tmp"):
        snapshot(tmp_path, odd)
    (tmp_path / "99999999999999999-startup.cfg").mkdir()
    right = snapshot(tmp_path, "20260101000000000-startup.cfg")
    assert newest_snapshot(tmp_path) == right
    assert newest_snapshot(tmp_path / "absent") is None


def test_a_snapshot_as_the_original_writes_it_is_read_without_a_word_about_its_own_keys(tmp_path):
    path = snapshot(
        tmp_path,
        "20260101000000000-shutdown.cfg",
        r"""#Saved
#Sun Nov 22 10:16:00 UTC 2026
inference_address=http\://127.0.0.1\:8080
load_models=all
version=0.12.0
tsConfigFile=logs/config/x.cfg
python=/usr/bin/python3
model_snapshot={\n  "name"\: "x-shutdown.cfg",\n  "modelCount"\: 1,\n  "created"\: 1795342560527,\n  "models"\: {\n    "m"\: {\n      "1.0"\: {\n        "defaultVersion"\: true,\n        "marName"\: "m.mar",\n        "minWorkers"\: 1,\n        "maxWorkers"\: 1,\n        "batchSize"\: 1,\n        "maxBatchDelay"\: 100,\n        "responseTimeout"\: 120,\n        "startupTimeout"\: 120,\n        "runtimeType"\: "python"\n      }\n    }\n  }\n}
""",
    )
    loaded = load(Flags(ts_config=str(path)), {}, tmp_path)
    assert loaded.options.model_snapshot.models["m"]["1.0"].mar_name == "m.mar"
    assert loaded.options.model_snapshot.created == 1795342560527
    own = ("version", "tsConfigFile", "python")
    assert not any(key in said for said in loaded.notices for key in own)


def test_a_torn_snapshot_says_where_it_breaks(tmp_path):
    path = snapshot(tmp_path, "20260101000000000-shutdown.cfg", 'a=1\nmodel_snapshot={"models"')
    with pytest.raises(ConfigurationError, match=r"shutdown.cfg:2: model_snapshot=.*truncated"):
        load(Flags(ts_config=str(path)), {}, tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"gone.properties cannot be read: No such file"):
        load(Flags(ts_config="gone.properties"), {}, tmp_path)
