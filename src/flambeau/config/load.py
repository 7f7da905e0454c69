"""Flags, environment, file, defaults: who wins.

Strongest first: environment (only if the file says ``enable_envvars_config=true``), command line,
file, defaults. ``load`` is called by ``cli``; ``settle`` is its pure part. Never writes anything
and never looks at a setting's meaning beyond its type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.config import notices
from flambeau.config.options import Options
from flambeau.config.properties import decoded, pairs, substituted
from flambeau.config.setting import ConfigurationError, Syntax
from flambeau.config.table import Row, rows, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_SNAPSHOT_NAME = re.compile(r"(\d{17})-(?:startup|snapshot|shutdown)\.cfg")
_LOG4J_ARGUMENT = re.compile(r"-Dlog4j\.configurationFile=(?:file:(?://)?)?(\S+)")
_FROM_FILE_NAME = "config.properties"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line gave. None and empty: not given. ``overrides``: any other key."""

    ts_config: str | None = None
    model_store: str | None = None
    workflow_store: str | None = None
    models: tuple[str, ...] = ()
    log_config: str | None = None
    cpp_log_config: str | None = None
    plugins_path: str | None = None
    snapshots: bool = True
    disable_token_auth: bool = False
    enable_model_api: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The configuration file: its path (None: there is none) and its text."""

    path: Path | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settled options, and sentences the person who starts the server should read."""

    options: Options
    notices: list[str]


@dataclass(frozen=True, slots=True)
class _Given:
    """The text of one value and the place it came from."""

    text: str
    place: str


def load(flags: Flags, environment: Mapping[str, str], cwd: Path) -> Configuration:
    """The settled options; reads the configuration file. ConfigurationError if it cannot be."""
    path = chosen_file(flags, environment, cwd)
    if path is None:
        return settle(flags, environment, cwd, SourceFile())
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return settle(flags, environment, cwd, SourceFile(path, text))
    except ConfigurationError as error:
        if not _SNAPSHOT_NAME.fullmatch(path.name):
            raise
        remedy = "--ncs starts without it, --ts-config names another file"
        raise ConfigurationError(f"{error.text}\n{path} is a snapshot: {remedy}") from None


def chosen_file(flags: Flags, environment: Mapping[str, str], cwd: Path) -> Path | None:
    """TS_CONFIG_FILE, else --ts-config, else the newest snapshot, else ./config.properties."""
    for name in (environment.get("TS_CONFIG_FILE"), flags.ts_config):
        if name:
            return cwd / name
    if flags.snapshots:
        snapshot = newest_snapshot(cwd / environment.get("LOG_LOCATION", "logs") / "config")
        if snapshot is not None:
            return snapshot
    default = cwd / _FROM_FILE_NAME
    return default if default.is_file() else None


def newest_snapshot(folder: Path) -> Path | None:
    """The snapshot with the latest time in its name; files with other names are left alone."""
    if not folder.is_dir():
        return None
    named = [
        (match[1], path)
        for path in folder.iterdir()
        if (match := _SNAPSHOT_NAME.fullmatch(path.name)) and path.is_file()
    ]
    return max(named, default=("", None))[1]


def settle(
    flags: Flags, environment: Mapping[str, str], cwd: Path, source: SourceFile
) -> Configuration:
    """The options these inputs mean, without touching a file; ConfigurationError names the place."""
    entries = pairs(source.text)
    name = source.path.name if source.path else _FROM_FILE_NAME
    given = {
        pair.key: _Given(substituted(pair.value, environment), f"{name}:{pair.line}")
        for pair in entries
    }
    given |= _from_command_line(flags)
    by_environment = _from_environment(given, environment)
    if _SNAPSHOT_NAME.fullmatch(name) and "model_snapshot" not in given:
        raise ConfigurationError(f"{name} holds no model_snapshot: it is damaged, or not ours")
    enabled = _true(given.get("enable_envvars_config"))
    if enabled:
        given |= by_environment
    values, said = _values(given, cwd)
    values |= _of_run(flags, environment, cwd, source, values)
    values["kept"] = {key: one.text for key, one in given.items() if key not in rows()}
    options = Options(**values)
    ignored = [] if enabled else [one.place.split()[-1] for one in by_environment.values()]
    return Configuration(
        options,
        [
            *_about_file(source, flags),
            *notices.about_entries(entries, name),
            *notices.about_effects({key: one.place for key, one in given.items()}),
            *said,
            *notices.about_environment(ignored, environment if enabled else {}),
            *notices.about_values(options),
        ],
    )


def _from_command_line(flags: Flags) -> dict[str, _Given]:
    given = {key: _Given(text, f"setting {key}") for key, text in flags.overrides.items()}
    for key in ("model_store", "workflow_store", "cpp_log_config", "plugins_path"):
        text = getattr(flags, key)
        if text is not None:
            given[key] = _Given(text, f"--{key.replace('_', '-')}")
    if flags.models:
        given["load_models"] = _Given(",".join(flags.models), "--models")
    if flags.enable_model_api:
        given["enable_model_api"] = _Given("true", "--enable-model-api")
    if flags.disable_token_auth:
        given["disable_token_authorization"] = _Given("true", "--disable-token-auth")
    return given


def _from_environment(
    given: Mapping[str, _Given], environment: Mapping[str, str]
) -> dict[str, _Given]:
    """What the TS_* variables would set; TS_ALLOWED_URLS only through its own switch."""
    found: dict[str, _Given] = {}
    for key, row in rows().items():
        if not row.setting.in_file or row.env is None or key == "ts_open_inference_protocol":
            continue
        if key == "allowed_urls" and not _true(given.get("use_env_allowed_urls")):
            continue
        if environment.get(row.env):
            found[key] = _Given(environment[row.env], f"environment variable {row.env}")
    return found


def _values(given: Mapping[str, _Given], cwd: Path) -> tuple[dict[str, Any], list[str]]:
    """Typed values of the keys the table knows; every bad one is named in one error."""
    values: dict[str, Any] = {}
    said: list[str] = []
    wrong: list[str] = []
    for key, row in rows().items():
        one = given.get(key)
        if one is None or not row.setting.in_file:
            continue
        try:
            values[key] = _settled_path(value_of(row, one.text), cwd)
        except ValueError as error:
            text = f"{one.place}: {key}={one.text}: {error}"
            if row.setting.syntax is Syntax.FALLS_BACK:
                said.append(f"{text}; {row.default} is used")
            else:
                wrong.append(text)
        else:
            said.extend(_about_word(row, one))
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return values, said


def _of_run(
    flags: Flags,
    environment: Mapping[str, str],
    cwd: Path,
    source: SourceFile,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """What the command line and the environment alone decide."""
    log_location = cwd / environment.get("LOG_LOCATION", "logs")
    temp = environment.get("TEMP")
    if temp and not (cwd / temp).is_dir():
        raise ConfigurationError(f"environment variable TEMP={temp}: expected an existing folder")
    in_vmargs = _LOG4J_ARGUMENT.search(values.get("vmargs") or "")
    log_config = flags.log_config or (in_vmargs[1] if in_vmargs else None)
    run: dict[str, Any] = {
        "config_file": source.path,
        "snapshots": flags.snapshots,
        "log_location": log_location,
        "metrics_location": cwd / environment.get("METRICS_LOCATION", str(log_location)),
        "temp_dir": cwd / temp if temp else None,
        "log_config": cwd / log_config if log_config else None,
        "workflow_store": values.get("workflow_store") or values.get("model_store"),
    }
    protocol = environment.get("TS_OPEN_INFERENCE_PROTOCOL")
    if protocol:
        run["ts_open_inference_protocol"] = protocol == "oip"
    if home := environment.get("TS_MODEL_SERVER_HOME"):
        run["model_server_home"] = home
    return run


def _settled_path(value: Any, cwd: Path) -> Any:
    return cwd / value if isinstance(value, Path) else value


def _true(one: _Given | None) -> bool:
    return one is not None and one.text.strip().lower() == "true"


def _about_word(row: Row, one: _Given) -> list[str]:
    if row.type is not bool or one.text.strip().lower() in {"true", "false"}:
        return []
    return [f"{one.place}: {row.key}={one.text} is read as false: only the word true means on"]


def _about_file(source: SourceFile, flags: Flags) -> list[str]:
    path = source.path
    if path is None or not _SNAPSHOT_NAME.fullmatch(path.name) or flags.ts_config:
        return []
    return [f"The configuration is the snapshot {path}; --ncs starts without it"]
