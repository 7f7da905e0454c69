"""The table of values: what every place makes of it, and that a new row needs nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from flambeau.archive import config_keys
from flambeau.archive.manifest import Manifest, ModelEntry, RuntimeType
from flambeau.archive.model_config import ModelConfig, read_model_config
from flambeau.control.describe import in_force
from flambeau.control.requests import RegisterModel, ScaleWorkers, parameters
from flambeau.control.spec import Defaults, settle
from flambeau.control.views import ModelDescription
from flambeau.versions import rows as table
from flambeau.versions.rows import (
    ValueRow,
    given_in,
    paired,
    rows,
    spellings,
    standing_in,
    with_values,
)
from flambeau.versions.table import VersionValues
from flambeau.versions.value import Form, Unit, Value

SOURCES = {Form.REGISTER, Form.CONFIG, Form.MODELS, Form.MANIFEST, Form.SERVER}


def test_every_row_says_what_it_is_and_who_wins():
    assert list(rows()) == list(VersionValues.__struct_fields__)
    for row in rows().values():
        about = row.about
        assert about.sentence, row.name
        assert not about.sentence.endswith("."), "it is continued"
        assert set(about.wins) <= SOURCES, row.name
        assert len(set(about.wins)) == len(about.wins) > 0, row.name
        assert set(about.startup_only) <= set(about.wins), row.name
        assert not about.needs or about.needs in rows(), row.name


@pytest.mark.parametrize("form", [Form.CONFIG, Form.MODELS, Form.DESCRIBE, Form.REGISTER])
def test_no_two_values_are_spelt_alike_in_one_place(form):
    names = [row.spelt(form) for row in standing_in(form)]
    assert len(set(names)) == len(names)


def test_a_source_that_counts_has_a_spelling_where_it_stands():
    for row in rows().values():
        for form in {Form.CONFIG, Form.MODELS, Form.SERVER} & set(row.about.wins):
            assert row.spelt(form), (row.name, form)


def test_the_defaults_are_those_of_the_documents():
    values = VersionValues()
    assert (values.batch_size, values.max_batch_delay, values.queue_size) == (1, 100, 100)
    assert (values.response_timeout, values.startup_timeout) == (120, 120)
    assert (values.max_retry_timeout, values.client_timeout) == (300, 0)


def test_calls_have_a_parameter_with_a_sentence_for_each_value_they_may_give():
    register = {each.name: each for each in parameters(RegisterModel)}
    assert register["batch_size"].sentence == "Most jobs in one batch; default 1."
    assert (register["batch_size"].type, register["batch_size"].least) == (int, 1)
    assert register["max_batch_delay"].sentence == (
        "Longest wait of a job for company, in milliseconds; default 100."
    )
    assert register["handler"].sentence == "Handler to use; default: the manifest's handler."
    assert register["runtime"].choices == ("python", "python3")
    scale = {each.name: each for each in parameters(ScaleWorkers)}
    assert scale["batch_size"].sentence == "New most jobs in one batch."
    assert [each.name for each in parameters(ScaleWorkers) if each.required] == ["model_name"]
    assert "response_timeout" not in scale


def test_what_was_not_given_is_not_there():
    request = RegisterModel(url="m.mar", batch_size=3, max_batch_delay=0)
    assert given_in(Form.REGISTER, request) == {"batch_size": 3, "max_batch_delay": 0}


@pytest.mark.parametrize(
    ("least", "most", "kept"), [(1, 2, True), (2, 1, False), (0, 3, False), (2, None, False)]
)
def test_workers_count_as_a_pair_that_fits_or_not_at_all(least, most, kept):
    given = {"batch_size": 2, "min_workers": least, "max_workers": most}
    assert ("min_workers" in paired(given)) is kept
    assert paired(given)["batch_size"] == 2


MADE_UP = ValueRow(
    "warmth",
    int,
    20,
    Value(
        "Degrees to serve at",
        Unit.SECONDS,
        wins=(Form.REGISTER, Form.CONFIG, Form.MODELS, Form.SERVER),
        asked=(Form.REGISTER, Form.SCALE),
        config="warmthInKelvin",
        models="warmth",
        setting="default_warmth",
        described="warmthShown",
        least=3,
        lifted=True,
    ),
)


@pytest.fixture
def made_up(monkeypatch):
    """The table with one more row."""
    longer = {**rows(), "warmth": MADE_UP}
    config_keys._names.cache_clear()
    spellings.cache_clear()
    monkeypatch.setattr(table, "rows", lambda: longer)
    for module in ("archive.config_keys", "control.spec"):
        monkeypatch.setattr(f"flambeau.{module}.rows", lambda: longer)
    fields = [(row.name, row.type, row.default) for row in longer.values()]
    spec = msgspec.defstruct(
        "Spec", [("name", str), ("version", str), ("url", str), *fields], kw_only=True
    )
    monkeypatch.setattr(
        "flambeau.control.spec.ModelSpec",
        lambda **given: spec(**{k: v for k, v in given.items() if k in spec.__struct_fields__}),
    )
    yield
    config_keys._names.cache_clear()
    spellings.cache_clear()


@pytest.mark.usefixtures("made_up")
def test_a_new_row_is_read_shown_and_settled_without_another_edit(tmp_path):
    path = tmp_path / "model-config.yaml"
    path.write_text("warmthInKelvin: 1\nwarmthinkelvins: 4\n")
    config, document = read_model_config(path, "shown")
    assert config.given == {"warmth": 3}
    assert list(config.ignored) == ["warmthinkelvins"]

    @with_values(Form.REGISTER, after="url")
    class Registration(msgspec.Struct):
        url: str
        model_name: str | None = None
        initial_workers: int | None = None

    def settled(config, **given):
        files = SimpleNamespace(
            manifest=Manifest(runtime=RuntimeType.PYTHON, model=ModelEntry(model_name="m")),
            manifest_document=None,
            config=config,
            config_document=document,
            config_text="",
        )
        defaults = Defaults({"warmth": 7}, 1, {"m": {"1.0": given_in(Form.MODELS, models)}})
        return settle(Registration(url="m.mar", **given), files, defaults)

    models = SimpleNamespace(**dict.fromkeys(rows()), warmth=None)
    assert settled(ModelConfig()).warmth == 7
    models.warmth = 5
    assert settled(ModelConfig()).warmth == 5
    assert settled(config).warmth == 3
    assert settled(config, warmth=9).warmth == 9
    version = SimpleNamespace(
        spec=settled(config, warmth=9),
        min_workers=0,
        max_workers=0,
        round=SimpleNamespace(device_type="cpu", ids=None),
    )
    assert in_force(version, Form.DESCRIBE)["warmthShown"] == 9
    assert in_force(version, Form.SNAPSHOT)["warmth"] == 9
    assert "warmthShown" not in ModelDescription.__struct_fields__, "the real one is as it was"
