"""What translates of a log4j2.xml: levels, file names and sizes of the known loggers.

``server`` calls ``read_log4j`` when ``--log-config`` or ``vmargs`` names a file. Patterns, other
appenders and other loggers have no counterpart here: each gets one sentence in the notices.
"""

from __future__ import annotations

import logging
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from flambeau.logs.plan import OFF, FilePlan, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flambeau.logs.plan import LogPlan

_LEVELS = {
    "off": OFF,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
    "all": logging.DEBUG,
}
_UNITS = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_PATTERNS = frozenset({"%d{ISO8601} - %m%n", "%d{ISO8601} [%-5p] %t %c - %m%n"})
_FILES = frozenset({"RollingFile", "RollingRandomAccessFile", "File", "RandomAccessFile"})
_VARIABLE = re.compile(r"\$\{(?:(env|sys):)?([^}:]+)(?::-([^}]*))?\}")


class Log4jError(ValueError):
    """A log configuration that cannot be read; the message says which file and why."""


@dataclass(slots=True)
class _Appender:
    console: bool = False
    path: Path | None = None
    max_bytes: int | None = None
    keep: int | None = None
    json: bool = False


@dataclass(slots=True)
class _Reading:
    """What one pass over the file has found so far."""

    variables: dict[str, str]
    environment: Mapping[str, str]
    appenders: dict[str, _Appender] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def configured_file(log_config: Path | None, vmargs: str | None) -> Path | None:
    """The log4j2 file in force: ``--log-config`` before a ``-Dlog4j...`` argument of the JVM."""
    if log_config is not None:
        return log_config
    for argument in shlex.split(vmargs or ""):
        matched = re.fullmatch(r"-Dlog4j2?\.configurationFile=(?:file:(?://)?)?(.+)", argument)
        if matched:
            return Path(matched[1])
    return None


def read_log4j(
    path: Path, plan: LogPlan, environment: Mapping[str, str]
) -> tuple[LogPlan, list[str]]:
    """``plan`` changed by the file, and a sentence for each thing that does not translate.

    Raises Log4jError.
    """
    root = _parse(path)
    reading = _Reading({}, environment)
    for item in root.iterfind("./Properties/Property"):
        reading.variables[item.get("name", "")] = _filled(
            item.get("value") or item.text or "", reading
        )
    for item in root.iterfind("./Appenders/*"):
        _read_appender(item, reading)
    for item in root.iterfind("./Loggers/*"):
        plan = _apply_logger(item, plan, reading)
    if any(appender.json for appender in reading.appenders.values()):
        plan = replace(plan, json=True)
    return plan, [f"{path}: {notice}" for notice in reading.notices]


def _parse(path: Path) -> ET.Element:
    try:
        text = path.read_text(encoding="utf-8")
        if "<!ENTITY" in text:
            raise Log4jError(f"log configuration {path}: entities are not allowed.")
        root = ET.fromstring(text)  # noqa: S314 - no entities, and the operator's own file
    except OSError as error:
        raise Log4jError(f"log configuration {path} cannot be read: {error.strerror}.") from error
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise Log4jError(f"log configuration {path} is no log4j2 XML: {error}.") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "Configuration":
        raise Log4jError(f"log configuration {path}: the root is {root.tag}, not Configuration.")
    return root


def _read_appender(item: ET.Element, reading: _Reading) -> None:
    name = item.get("name", "")
    appender = reading.appenders[name] = _Appender()
    if item.tag == "Console":
        appender.console = True
    elif item.tag in _FILES:
        appender.path = Path(_filled(item.get("fileName", ""), reading))
        for policy in item.iter("SizeBasedTriggeringPolicy"):
            appender.max_bytes = _size(policy.get("size", ""), name, reading)
        for strategy in item.iter("DefaultRolloverStrategy"):
            kept = strategy.get("max", "")
            appender.keep = int(kept) if kept.isdigit() else None
    else:
        reading.notices.append(f"appender {name} ({item.tag}) has no counterpart; ignored.")
    for layout in item:
        if "json" in layout.tag.lower():
            appender.json = True
            reading.notices.append(
                f"{layout.tag} of {name}: flambeau's own JSON fields are written."
            )
        elif layout.tag == "PatternLayout":
            pattern = layout.get("pattern") or layout.findtext("Pattern") or ""
            if pattern.strip() not in _PATTERNS:
                reading.notices.append(f"pattern of {name} is not applied; lines keep their form.")
        elif layout.tag.endswith("Filter") or layout.tag == "Filters":
            reading.notices.append(f"{layout.tag} of {name} is not applied.")


def _apply_logger(item: ET.Element, plan: LogPlan, reading: _Reading) -> LogPlan:
    name = item.get("name", "")
    level = _level(item.get("level"), name, reading)
    targets = [
        reading.appenders[ref.get("ref", "")]
        for ref in item.iterfind("AppenderRef")
        if ref.get("ref", "") in reading.appenders
    ]
    on_console = any(target.console for target in targets)
    if item.tag in ("Root", "AsyncRoot"):
        console = logging.INFO if level is None else level
        return replace(plan, console_level=console if on_console else OFF)
    try:
        stream = Stream(name)
    except ValueError:
        if level is not None and not name.startswith(("org.", "io.", "com.", "software.")):
            return replace(plan, levels={**plan.levels, name: level})
        reading.notices.append(f"logger {name} does not exist here; ignored.")
        return plan
    copied = plan.copied
    if on_console:
        copied |= {stream}
    elif item.get("additivity", "true").lower() == "false":
        copied -= {stream}
    file = _file_plan(plan.files[stream], targets, level)
    return replace(plan, files={**plan.files, stream: file}, copied=copied)


def _file_plan(file: FilePlan, targets: list[_Appender], level: int | None) -> FilePlan:
    if level is not None:
        file = replace(file, level=level)
    for target in targets:
        if target.path is not None:
            return FilePlan(
                target.path,
                file.level,
                target.max_bytes or file.max_bytes,
                file.keep if target.keep is None else target.keep,
            )
    # A logger whose appenders are all consoles has no file.
    return replace(file, path=None) if targets and all(one.console for one in targets) else file


def _level(text: str | None, logger: str, reading: _Reading) -> int | None:
    if text is None:
        return None
    level = _LEVELS.get(_filled(text, reading).strip().lower())
    if level is None:
        reading.notices.append(f"level {text!r} of logger {logger or 'Root'} is unknown; ignored.")
    return level


def _size(text: str, appender: str, reading: _Reading) -> int | None:
    matched = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?b?)\s*", _filled(text, reading).lower())
    if matched is None or matched[2] not in _UNITS:
        reading.notices.append(f"size {text!r} of appender {appender} is not understood; ignored.")
        return None
    return int(float(matched[1]) * _UNITS[matched[2]])


def _filled(text: str, reading: _Reading) -> str:
    def value(matched: re.Match[str]) -> str:
        lookup, name, default = matched.groups()
        if lookup == "env":
            found = reading.environment.get(name)
        else:
            found = reading.variables.get(name) if lookup is None else None
        return found if found is not None else default or ""

    return _VARIABLE.sub(value, text)
