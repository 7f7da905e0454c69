from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flambeau.logs.log4j import Log4jError, configured_file, read_log4j
from flambeau.logs.plan import OFF, Stream, default_plan

# The layout of the file people start from: environment variables with defaults, five rolling
# files, a console, one logger for each file and the root.
TYPICAL = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Properties><Property name="folder">${env:LOG_LOCATION:-logs}</Property></Properties>
  <Appenders>
    <RollingFile name="access" fileName="${folder}/access.log" filePattern="x.gz">
      <PatternLayout pattern="%d{ISO8601} - %m%n"/>
      <Policies>
        <SizeBasedTriggeringPolicy size="10 MB"/>
        <TimeBasedTriggeringPolicy/>
      </Policies>
      <DefaultRolloverStrategy max="9"/>
    </RollingFile>
    <RollingFile name="server" fileName="${env:LOG_LOCATION:-logs}/server.log">
      <PatternLayout><Pattern>%d{ISO8601} [%-5p] %t %c - %m%n</Pattern></PatternLayout>
    </RollingFile>
    <Console name="STDOUT" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} [%-5p] %t %c - %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="info"><AppenderRef ref="access"/></Logger>
    <Logger name="org.pytorch.serve" level="warn"><AppenderRef ref="server"/></Logger>
    <Logger name="MODEL_LOG" level="error" additivity="false"/>
    <Logger name="TS_METRICS" level="off"/>
    <Root level="error"><AppenderRef ref="STDOUT"/><AppenderRef ref="server"/></Root>
  </Loggers>
</Configuration>
"""


def read(tmp_path, text: str, environment=None):
    file = tmp_path / "log4j2.xml"
    file.write_text(text)
    return read_log4j(file, default_plan(), environment or {})


def with_body(appenders: str = "", loggers: str = "") -> str:
    return (
        f"<Configuration><Appenders>{appenders}</Appenders>"
        f"<Loggers>{loggers}</Loggers></Configuration>"
    )


def test_levels_files_and_sizes_of_known_loggers_are_taken(tmp_path):
    plan, notices = read(tmp_path, TYPICAL, {"LOG_LOCATION": "/var/log/serve"})
    access = plan.files[Stream.ACCESS]
    assert access.path == Path("/var/log/serve/access.log")
    assert access.max_bytes == 10 * 1024**2
    assert access.keep == 9
    assert plan.files[Stream.SERVER].level == logging.WARNING
    assert plan.files[Stream.SERVER].path == Path("/var/log/serve/server.log")
    assert plan.files[Stream.MODEL].level == logging.ERROR
    assert plan.files[Stream.SERVER_METRICS].level == OFF
    assert plan.console_level == logging.ERROR
    assert plan.copied == frozenset()
    assert notices == []


def test_defaults_in_variables_are_used(tmp_path):
    plan, _ = read(tmp_path, TYPICAL)
    assert plan.files[Stream.ACCESS].path == Path("logs/access.log")


def test_what_the_file_does_not_name_stays(tmp_path):
    plan, notices = read(tmp_path, with_body())
    assert plan == default_plan()
    assert notices == []


def test_a_logger_with_a_console_is_shown_there_and_alone_there_has_no_file(tmp_path):
    plan, _ = read(
        tmp_path,
        with_body(
            "<Console name='C'/>",
            "<Logger name='ACCESS_LOG' level='info'><AppenderRef ref='C'/></Logger>",
        ),
    )
    assert Stream.ACCESS in plan.copied
    assert plan.files[Stream.ACCESS].path is None


def test_a_root_without_console_silences_it(tmp_path):
    plan, _ = read(tmp_path, with_body("", "<Root level='info'/>"))
    assert plan.console_level == OFF


def test_a_json_layout_turns_json_lines_on(tmp_path):
    plan, notices = read(
        tmp_path, with_body("<File name='f' fileName='a.log'><JSONPatternLayout/></File>")
    )
    assert plan.json
    assert "flambeau's own JSON fields" in notices[0]


@pytest.mark.parametrize(
    ("appenders", "loggers", "notice"),
    [
        ("<Kafka name='k'/>", "", "appender k (Kafka) has no counterpart"),
        (
            "<File name='f' fileName='x'><PatternLayout pattern='%m'/></File>",
            "",
            "pattern of f is not applied",
        ),
        (
            "<File name='f' fileName='x'><ThresholdFilter level='WARN'/></File>",
            "",
            "ThresholdFilter of f is not applied",
        ),
        (
            (
                "<RollingFile name='f' fileName='x'><Policies>"
                "<SizeBasedTriggeringPolicy size='many'/></Policies></RollingFile>"
            ),
            "",
            "size 'many' of appender f is not understood",
        ),
        ("", "<Logger name='MODEL_LOG' level='loud'/>", "level 'loud' of logger MODEL_LOG"),
        ("", "<Logger name='io.netty' level='error'/>", "logger io.netty does not exist here"),
    ],
)
def test_what_does_not_translate_is_said_once_each(tmp_path, appenders, loggers, notice):
    _, notices = read(tmp_path, with_body(appenders, loggers))
    assert len(notices) == 1
    assert notice in notices[0]
    assert "log4j2.xml" in notices[0]


def test_python_loggers_get_levels(tmp_path):
    plan, notices = read(tmp_path, with_body("", "<Logger name='urllib3' level='error'/>"))
    assert plan.levels == {"urllib3": logging.ERROR}
    assert notices == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("<Configuration>", "no log4j2 XML"),
        ("status = warn", "no log4j2 XML"),
        ("<log4j/>", "the root is log4j"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><Configuration/>", "entities are not allowed"),
    ],
)
def test_what_is_no_log4j2_file_is_refused(tmp_path, text, cause):
    with pytest.raises(Log4jError, match=cause):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Log4jError, match="nope cannot be read"):
        read_log4j(tmp_path / "nope", default_plan(), {})


def test_a_namespace_does_not_matter(tmp_path):
    plan, _ = read(
        tmp_path,
        "<Configuration xmlns='http://logging.apache.org/log4j/2.0/config'><Loggers>"
        "<Logger name='MODEL_LOG' level='debug'/></Loggers></Configuration>",
    )
    assert plan.files[Stream.MODEL].level == logging.DEBUG


@pytest.mark.parametrize(
    ("log_config", "vmargs", "found"),
    [
        (None, None, None),
        (None, "-Xmx4g -Dlog4j.configurationFile=file:///etc/log4j2.xml", "/etc/log4j2.xml"),
        (None, "-Dlog4j.configurationFile=/a/b.xml -Xmx1g", "/a/b.xml"),
        (None, "-Dlog4j2.configurationFile=b.xml", "b.xml"),
        ("c.xml", "-Dlog4j.configurationFile=b.xml", "c.xml"),
    ],
)
def test_the_flag_beats_the_jvm_argument(log_config, vmargs, found):
    chosen = configured_file(Path(log_config) if log_config else None, vmargs)
    assert chosen == (Path(found) if found else None)
