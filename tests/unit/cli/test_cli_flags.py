from __future__ import annotations

import pytest

from flambeau.cli.flags import arguments_of, flags_of, parser, server_parser
from flambeau.cli.mark import PROCESS_MARK
from flambeau.config.load import Flags


def flags(*line):
    return flags_of(parser().parse_args(line))


def test_every_flag_of_torchserve_is_read():
    found = flags(
        *("--start", "--foreground", "--ts-config", "c", "--model-store", "s"),
        *("--workflow-store", "w", "--models", "a.mar", "b=b.mar", "--log-config", "l"),
        *("--cpp-log-config", "g", "--ncs", "--ppath", "p", "--dt", "--enable-model-api"),
    )
    assert found == Flags(
        ts_config="c",
        model_store="s",
        workflow_store="w",
        models=("a.mar", "b=b.mar"),
        log_config="l",
        cpp_log_config="g",
        plugins_path="p",
        snapshots=False,
        disable_token_auth=True,
        enable_model_api=True,
    )


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("--no-config", "--ncs"),
        ("--no-config-snapshots", "--ncs"),
        ("--disable-token-auth", "--dt"),
        ("--disable", "--dt"),
        ("--enable", "--enable-model-api"),
    ],
)
def test_abbreviations_and_long_names_mean_the_same(short, full):
    assert flags(short) == flags(full)


def test_nothing_given_is_nothing_set():
    assert flags() == Flags()


@pytest.mark.parametrize(
    "line", [["--start", "--stop"], ["-v", "--start"], ["--stop", "--version"]]
)
def test_start_stop_and_version_exclude_each_other(line, capsys):
    with pytest.raises(SystemExit) as left:
        parser().parse_args(line)
    assert left.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("line", [["--model-store"], ["--models"], ["--unknown"], ["stray"]])
def test_a_wrong_command_line_leaves_with_two(line, capsys):
    with pytest.raises(SystemExit) as left:
        parser().parse_args(line)
    assert left.value.code == 2
    assert "usage: torchserve" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        Flags(),
        Flags(model_store="a b", models=("x=http://h/x.mar", "all"), snapshots=False),
        Flags(ts_config="-odd", log_config="", plugins_path="p/*", enable_model_api=True),
        Flags(overrides={"allowed_urls": "a=b,c", "batching": "strict"}, disable_token_auth=True),
    ],
)
def test_the_server_process_reads_back_what_the_launcher_was_given(given):
    assert flags_of(server_parser().parse_args(arguments_of(given))) == given


def test_the_mark_is_the_word_that_other_tools_look_for():
    assert PROCESS_MARK == "org.pytorch.serve.ModelServer"
