"""torchserve's command line: the parser, and its way to ``Flags`` and back.

The flags of the original are spelled out here, for their order and abbreviations are part of the
contract; any other flag that a row of the settings table names is made from that row. Used by ``cli.torchserve_command`` (what people type), ``cli.run`` (what the server process gets) and the
reference page. Checks no file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flambeau.config.load import Flags
from flambeau.config.table import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.config.table import Row

_ORIGINAL = frozenset(
    (
        *("--ts-config", "--model-store", "--workflow-store", "--models", "--log-config", "--ncs"),
        *("--disable-token-auth", "--enable-model-api"),
    )
)
"""Flags in the settings table that torchserve has always had."""


def own_settings() -> list[Row]:
    """Settings whose flag the original does not have; ``flambeau serve`` takes them alike."""
    return [
        row
        for row in rows().values()
        if row.setting.flag and row.setting.in_file and row.setting.flag not in _ORIGINAL
    ]


def explained(row: Row) -> str:
    """What the help says about a setting's flag."""
    sentence = row.setting.sentence.removesuffix(".")
    return sentence[0].lower() + sentence[1:]


def parser(prog: str = "torchserve") -> argparse.ArgumentParser:
    """The parser of ``torchserve``; the names of its results are those of the long flags."""
    tree = argparse.ArgumentParser(
        prog=prog,
        description="Start or stop the model server.",
        epilog="Every setting: docs/reference/configuration.md. A modern face: flambeau --help.",
    )
    what = tree.add_mutually_exclusive_group()
    what.add_argument("-v", "--version", action="store_true", help="print the version and leave")
    what.add_argument("--start", action="store_true", help="start the server (the default)")
    what.add_argument("--stop", action="store_true", help="stop the server of this temp folder")
    add = tree.add_argument
    add("--ts-config", metavar="FILE", help="configuration file; TS_CONFIG_FILE beats it")
    add("--model-store", metavar="DIR", help="folder of model archives; required here or in a file")
    add("--workflow-store", metavar="DIR", help="folder of workflow archives")
    add(
        "--models",
        nargs="+",
        metavar="MODEL",
        help="models to load at start: all, or file, folder, URL, name=file ...",
    )
    add("--log-config", metavar="FILE", help=explained(rows()["log_config"]))
    add("--cpp-log-config", metavar="FILE", help="accepted; there are no C++ workers")
    add("--foreground", action="store_true", help="stay until the server has ended")
    add(
        "--ncs",
        "--no-config-snapshots",
        dest="no_config_snapshots",
        action="store_true",
        help="neither write nor read snapshots",
    )
    add("--ppath", "--plugins-path", dest="plugins_path", metavar="PATH", help="accepted; no JVM")
    add(
        "--dt",
        "--disable-token-auth",
        dest="disable_token_auth",
        action="store_true",
        help=explained(rows()["disable_token_authorization"]),
    )
    add(
        "--enable-model-api",
        action="store_true",
        help=explained(rows()["enable_model_api"]),
    )
    for row in own_settings():
        add(row.setting.flag, dest=row.key, metavar="VALUE", help=explained(row))
    return tree


def server_parser() -> argparse.ArgumentParser:
    """The parser of the server process: torchserve's flags, and any setting by ``--set``."""
    tree = parser("python -m flambeau.cli.run")
    tree.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting")
    tree.add_argument("--pid-file", metavar="FILE", help="removed when the server ends")
    return tree


def flags_of(parsed: argparse.Namespace) -> Flags:
    """The flags in a parsed command line."""
    own = {row.key: getattr(parsed, row.key) for row in own_settings()}
    return Flags(
        ts_config=parsed.ts_config,
        model_store=parsed.model_store,
        workflow_store=parsed.workflow_store,
        models=tuple(parsed.models or ()),
        log_config=parsed.log_config,
        cpp_log_config=parsed.cpp_log_config,
        plugins_path=parsed.plugins_path,
        snapshots=not parsed.no_config_snapshots,
        disable_token_auth=parsed.disable_token_auth,
        enable_model_api=parsed.enable_model_api,
        overrides={key: value for key, value in own.items() if value is not None}
        | dict(split_setting(text) for text in getattr(parsed, "set", ())),
    )


def split_setting(text: str) -> tuple[str, str]:
    """Key and value of ``key=value``; the value may hold further equal signs."""
    key, _, value = text.partition("=")
    return key.strip(), value


def arguments_of(flags: Flags) -> Sequence[str]:
    """The command line that ``server_parser`` reads back into the same flags."""
    line: list[str] = []
    for name in (
        "ts_config",
        "model_store",
        "workflow_store",
        "log_config",
        "cpp_log_config",
        "plugins_path",
    ):
        value = getattr(flags, name)
        if value is not None:
            line.append(f"--{name.replace('_', '-')}={value}")
    switches = {
        "--no-config-snapshots": not flags.snapshots,
        "--disable-token-auth": flags.disable_token_auth,
        "--enable-model-api": flags.enable_model_api,
    }
    line += [switch for switch, on in switches.items() if on]
    line += [f"--set={key}={value}" for key, value in flags.overrides.items()]
    if flags.models:
        line += ["--models", *flags.models]
    return line
