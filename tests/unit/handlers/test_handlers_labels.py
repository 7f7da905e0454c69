from __future__ import annotations

import json

import pytest

from flambeau.handlers.labels import BadLabels, load_label_mapping, map_class_to_label


@pytest.mark.parametrize(
    ("document", "mapping"),
    [
        ({"0": "a"}, {"0": "a"}),
        ({"0": ["n01", "a"]}, {"0": "a"}),
        ({"object_type_names": ["a", "b"]}, {"0": "a", "1": "b"}),
    ],
)
def test_three_spellings_of_names_are_read(tmp_path, document, mapping):
    path = tmp_path / "index_to_name.json"
    path.write_text(json.dumps(document))
    assert load_label_mapping(str(path)) == mapping


@pytest.mark.parametrize(
    "document", [["a"], {"0": 5}, {"0": {"a": 1}}, {"0": []}, {"object_type_names": 5}]
)
def test_other_spellings_are_refused(tmp_path, document):
    path = tmp_path / "index_to_name.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadLabels):
        load_label_mapping(str(path))


def test_without_a_file_there_are_no_names(tmp_path, caplog):
    assert load_label_mapping(str(tmp_path / "none.json")) is None
    assert "Inference output will not include class name" in caplog.text


def test_values_are_named_in_their_own_order():
    assert list(map_class_to_label([[0.9, 0.1]], None, [[1, 0]])[0].items()) == [
        ("1", 0.9),
        ("0", 0.1),
    ]
    assert map_class_to_label([[0.9, 0.1]]) == [{"0": 0.9, "1": 0.1}]
    assert map_class_to_label([[0.9]], {"7": "cat"}, [[7]]) == [{"cat": 0.9}]
    with pytest.raises(KeyError):
        map_class_to_label([[0.9]], {"0": "cat"}, [[7]])
