"""What the faces for the old archivers' Python packages share.

Used by ``compat.model_export`` and ``compat.workflow_export`` alone. No packing happens here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.archive.manifest import MANIFEST_NAME
from flambeau.archive.packing import LEFT_OUT, Contents

if TYPE_CHECKING:
    from collections.abc import Callable


class Export:
    """What both old tool boxes offer."""

    @staticmethod
    def clean_temp_files(temp_files: list[str]) -> None:
        """Remove the files named."""
        for file in temp_files:
            Path(file).unlink()

    @staticmethod
    def make_dir(d: str) -> None:
        """Make a folder and those above it."""
        Path(d).mkdir(parents=True, exist_ok=True)

    @staticmethod
    def directory_filter(directory: str, unwanted_dirs: set[str]) -> bool:
        """True when a folder of that name belongs into an archive."""
        return directory not in unwanted_dirs and not directory.startswith(".")


def wanted(current_file: str, files_to_exclude: set[str], suffix: str) -> bool:
    """True when a file of that name belongs into an archive."""
    unwanted = files_to_exclude | {MANIFEST_NAME} | LEFT_OUT
    return current_file not in unwanted and not current_file.endswith((".pyc", ".DS_Store", suffix))


def each(contents: Contents, write: Callable[[str, str], None]) -> None:
    """Hand each file and its name in the archive to ``write``."""
    for name, path in contents.files.items():
        write(str(path), name)


def copy_out(contents: Contents, folder: Path) -> None:
    """Copy the files below ``folder``."""
    for name, path in contents.files.items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
