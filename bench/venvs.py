"""Environments of the other servers, below ``.bench``, made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.servers import COMPILED, WORK

if TYPE_CHECKING:
    from collections.abc import Sequence

TORCH = "torch==2.13.0"
NEEDS = {
    "torchserve": [
        "torchserve==0.12.0",
        "torch-model-archiver",
        "pyyaml",
        "psutil",
        "requests",
        "numpy",
        TORCH,
    ],
    "mosec": ["mosec==0.9.8", "numpy", TORCH],
}


def provide(sides: Sequence[str]) -> None:
    """Every named side can be started afterwards. SystemExit says what is missing."""
    if "compiled" in sides and not (COMPILED / "bin" / "torchserve").is_file():
        raise SystemExit(
            f"There is no compiled flambeau in {COMPILED}: `make bench` makes it where there is a C "
            "compiler. Leave it out with --sides flambeau,torchserve,mosec."
        )
    if "torchserve" in sides and not shutil.which("java"):
        raise SystemExit(
            "TorchServe needs Java 11 or later and there is no `java` on PATH. Install a Java runtime "
            "(17 was used for the published table), or leave TorchServe out with --sides flambeau,mosec."
        )
    for side in sides:
        if side in NEEDS:
            provide_one(side, NEEDS[side])


def provide_one(side: str, packages: list[str]) -> None:
    """``.bench/SIDE`` holds ``packages``."""
    folder, stamp = WORK / side, WORK / f"{side}.installed"
    wanted = "\n".join(packages)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {packages[0]} into {folder.relative_to(WORK.parent)} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *packages], check=True)
    stamp.write_text(wanted)
