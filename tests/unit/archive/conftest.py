"""Fixtures of the archive tests."""

import pytest


@pytest.fixture
def yard(tmp_path):
    """A folder for the archive and one for what is unpacked, side by side."""
    (tmp_path / "in").mkdir()
    return tmp_path
