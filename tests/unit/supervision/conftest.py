"""These tests run on the loop the server runs on; those of control on the standard one."""

from __future__ import annotations

import pytest

from flambeau.parts import loop_factory


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories():
    return {"server": loop_factory()}
