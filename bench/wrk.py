"""The load generator wrk: the installed one, or the distribution's package unpacked below ``.bench``.

The server under load shares two cores with the load generator, so what the generator costs is part
of every figure: wrk is worth getting. Nothing is installed and no rights are needed.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

from bench.servers import WORK

FOLDER = WORK / "wrk"
PACKAGES = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"]


@cache
def wrk() -> tuple[str, ...] | None:
    """The beginning of a command line that runs wrk. None: this machine has none."""
    installed = shutil.which("wrk")
    if installed:
        return (installed,)
    program = FOLDER / "usr" / "bin" / "wrk"
    if not program.is_file():
        return None
    libraries = ":".join(map(str, FOLDER.glob("usr/lib/*-linux-*")))
    return ("env", f"LD_LIBRARY_PATH={libraries}", str(program))


def provide_wrk() -> None:
    """Unpack wrk where there is none. Where that fails, the report says which generator was used."""
    if wrk() or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return
    print("fetching wrk into .bench/wrk ...", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        unpack()
    except subprocess.CalledProcessError as error:
        print(f"no wrk, so bench/load.py makes the load: {error.stderr.strip()}", flush=True)
    wrk.cache_clear()


def unpack() -> None:
    """Package lists of our own, so that neither fresh lists nor the rights to fetch them are needed."""
    lists = FOLDER / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "--quiet", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={FOLDER}"]
    run([*apt, "update"])
    run([*apt, "download", *PACKAGES])
    for package in FOLDER.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(FOLDER)])
        package.unlink()
    shutil.rmtree(lists)


def run(command: list[str]) -> None:
    """Run it in the folder. Raises CalledProcessError with what it said."""
    subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, text=True)
