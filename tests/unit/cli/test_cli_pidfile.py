from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from flambeau.cli.mark import PROCESS_MARK
from flambeau.cli.pidfile import PidFile, default_path


@pytest.fixture
def file(tmp_path):
    return PidFile(tmp_path / ".model_server.pid")


@pytest.fixture
def marked():
    command = [sys.executable, "-c", "print(flush=True); input()", PROCESS_MARK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_no_file_names_no_server(file):
    assert file.server() is None
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "x", "-1", "0.5", "99999999999999999999", "\x00"])
def test_a_file_without_a_pid_names_no_server(file, text):
    file.path.write_text(text)
    assert file.server() is None


def test_a_running_server_is_found(file, marked):
    file.write(marked.pid)
    assert file.server().pid == marked.pid


def test_a_pid_that_another_program_got_is_no_server(file):
    file.write(os.getpid())
    assert file.server() is None


def test_a_server_that_has_ended_is_no_server(file, marked):
    file.write(marked.pid)
    marked.kill()
    marked.wait()
    assert file.server() is None


def test_a_dead_server_nobody_has_waited_for_is_no_server(file, marked):
    file.write(marked.pid)
    marked.kill()
    os.waitid(os.P_PID, marked.pid, os.WEXITED | os.WNOWAIT)
    assert file.server() is None


def test_the_file_is_replaced_as_a_whole_and_follows_no_link(file, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    file.path.symlink_to(precious)
    file.write(12)
    assert precious.read_text() == "keep"
    assert file.path.read_text() == "12\n"
    assert stat.S_IMODE(file.path.lstat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.path.name, "precious"]


def test_a_server_removes_only_its_own_file(file):
    file.write(12)
    file.remove(only_of=13)
    assert file.exists()
    file.remove(only_of=12)
    assert not file.exists()
    file.remove()
    file.remove(only_of=12)


def test_the_file_lies_in_the_folder_for_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert default_path() == tmp_path / ".model_server.pid"
