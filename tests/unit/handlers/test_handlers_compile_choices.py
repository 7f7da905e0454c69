from __future__ import annotations

import pytest

from flambeau.handlers.compile_choices import check_valid_pt2_backend, compile_options, wants_aot


@pytest.mark.parametrize(
    ("pt2", "options"),
    [
        (None, None),
        ("inductor", {"backend": "inductor"}),
        ("no_such", None),
        ({"backend": "eager", "mode": "default"}, {"backend": "eager", "mode": "default"}),
        ({"compile": {"enable": True}}, {}),
        ({"compile": {"enable": True, "backend": "eager"}}, {"backend": "eager"}),
        ({"compile": {"enable": False, "backend": "eager"}}, None),
        ({"compile": {"enable": True, "backend": "no_such"}}, None),
        ({"compile": None}, None),
        ({"export": {"aot_compile": True}}, None),
        (5, None),
    ],
)
def test_each_spelling_says_how_to_compile(pt2, options):
    assert compile_options({"pt2": pt2}) == options


def test_no_config_compiles_nothing():
    assert compile_options(None) is None
    assert not wants_aot(None)


@pytest.mark.parametrize(
    ("pt2", "wanted"),
    [({"export": {"aot_compile": True}}, True), ({"export": {}}, False), ("inductor", False)],
)
def test_an_exported_library_is_asked_for(pt2, wanted):
    assert wants_aot({"pt2": pt2}) is wanted


def test_an_unknown_backend_is_warned_of(caplog):
    assert check_valid_pt2_backend("inductor")
    assert not check_valid_pt2_backend("INDUCTOR")
    assert "INDUCTOR is not a supported backend" in caplog.text
