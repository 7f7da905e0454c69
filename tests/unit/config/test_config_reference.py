from __future__ import annotations

from pathlib import Path

from flambeau.config.table import rows

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


def test_every_setting_is_on_the_reference_page_once():
    page = PAGE.read_text()
    assert [page.count(f"\n| `{key}` |") for key in rows()] == [1] * len(rows())
