"""The temporary folder of a server: kept while it lives, swept when it was killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from flambeau.archive.scratch import Scratch, sweep

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from flambeau.archive.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
print(scratch.folder, flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_killed_server_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        folder = server.stdout.readline().strip()
        assert sweep(tmp_path) == []  # it lives
        server.kill()
        server.wait()
        assert [str(path) for path in sweep(tmp_path)] == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "flambeau-notes"
    other.mkdir()
    assert sweep(tmp_path) == []
    assert other.is_dir()


def test_removing_leaves_nothing(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    (scratch.folder / "models").mkdir()
    scratch.remove()
    assert list(tmp_path.iterdir()) == []
