"""model-config.yaml: every key, every slip."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.archive.model_config import ModelConfig, is_plain, read_model_config
from flambeau.versions.table import TorchRun


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "model-config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_model_config(path, "m.mar/model-config.yaml")

    return reading


def test_every_key_is_read(read):
    config, document = read(
        """
minWorkers: 1
maxWorkers: 2
batchSize: 4
maxBatchDelay: 50
responseTimeout: 17
startupTimeout: 33
deviceType: gpu
deviceIds: [0, 2]
parallelType: tp
parallelLevel: 2
maxRetryTimeoutInSec: 77
clientTimeoutInMills: 30000
jobQueueSize: 9
useJobTicket: true
continuousBatching: true
asyncCommunication: true
sequenceBatching: true
sequenceMaxIdleMSec: 5
sequenceTimeoutMSec: 6
maxNumSequence: 7
maxSequenceJobQueueSize: 8
useVenv: true
handler: {answer: 42}
"""
    )
    assert document is not None
    assert document["handler"] == {"answer": 42}
    assert config.given == {
        "min_workers": 1,
        "max_workers": 2,
        "batch_size": 4,
        "max_batch_delay": 50,
        "response_timeout": 17,
        "startup_timeout": 33,
        "device_type": "gpu",
        "device_ids": (0, 2),
        "parallel_type": "tp",
        "parallel_level": 2,
        "max_retry_timeout": 77,
        "client_timeout": 30000,
        "queue_size": 9,
        "use_job_ticket": True,
        "continuous_batching": True,
        "async_communication": True,
        "sequence_batching": True,
        "sequence_max_idle": 5,
        "sequence_timeout": 6,
        "max_num_sequence": 7,
        "max_sequence_job_queue_size": 8,
        "use_venv": True,
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("minWorkers: one", "Expected `int"),
        ('batchSize: "4"', "Expected `int"),
        ("batchSize: true", "Expected `int"),
        ("maxBatchDelay: 1.5", "Expected `int"),
        ("maxBatchDelay: -1", ">= 0"),
        ("responseTimeout: 0", ">= 1"),
        ("startupTimeout: -5", ">= 1"),
        ("jobQueueSize: -2", ">= 1"),
        ("maxWorkers: -1", ">= 0"),
        ("parallelLevel: -1", ">= 0"),
        ("batchSize: 3000000000", "<= 2147483647"),
        ("deviceType: tpu", "Invalid enum value 'tpu'"),
        ("parallelType: zz", "Invalid enum value 'zz'"),
        ("deviceIds: 0", "Expected `array"),
        ("deviceIds: [0, x]", "Expected `int"),
        ("deviceIds: [0, -1]", ">= 0"),
        ("useVenv: 1", "Expected `bool"),
        ("useJobTicket: 'true'", "Expected `bool"),
        ("torchrun: 4", "expected a map"),
    ],
)
def test_a_wrong_value_is_left_out_with_a_warning_that_names_it(read, caplog, line, expected):
    config, document = read(line + "\nclientTimeoutInMills: 5\n")
    assert config.given == {"client_timeout": 5}
    assert document is not None
    key = line.split(":")[0]
    assert f"file=m.mar/model-config.yaml key={key} " in caplog.text
    assert expected in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("minWorkers", "min_workers"),
        ("batchSize", "batch_size"),
        ("maxNumSequence", "max_num_sequence"),
        ("maxSequenceJobQueueSize", "max_sequence_job_queue_size"),
    ],
)
@pytest.mark.parametrize("value", [0, -4])
def test_values_below_one_are_raised_where_one_is_the_least(read, key, field, value):
    config, _ = read(f"{key}: {value}")
    assert config.given[field] == 1


def test_nulls_and_keys_of_handlers_are_no_news(read, caplog):
    caplog.set_level("INFO")
    assert read("handler: {a: 1}\npt2: inductor\nminWorkers:\n")[0] == ModelConfig()
    assert not caplog.records


def test_torchrun_is_read_key_by_key_and_sets_the_parallel_level(read, caplog):
    config, _ = read(
        "torchrun:\n  nproc-per-node: 4\n  nnodes: x\n  OMP_NUMBER_THREADS: 2\n  max-restarts: 3\n"
    )
    assert config.given == {
        "torchrun": TorchRun(nproc_per_node=4, omp_number_threads=2),
        "parallel_level": 4,
    }
    assert "key=torchrun.nnodes" in caplog.text
    assert "key=torchrun.max-restarts value=3 cause=unsupported parameter" in caplog.text


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null\n", "~"])
def test_an_empty_file_has_no_keys(read, caplog, text):
    assert read(text) == (ModelConfig(), {})
    assert not caplog.records


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("minWorkers: [1\n", "expected ',' or ']'"),
        ("- a\n- b\n", "a list, not a map"),
        ("just text", "a str, not a map"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("? [a]\n: 1\n", "unhashable"),
        ("a: 2026-99-99\n", "month"),
        ("a: !!bool x\n", "x"),
        (b"\xff\xfe\x00", "."),
        ("a: \x00", "character"),
        ("a: &a [*a]\n", "refers to itself"),
        (BOMB, "grows to more than"),
        (MERGE_BOMB, "grows to more than"),
        ("[" * 200000, "nesting depth"),
        ("- " * 100000, "nested more than 100 levels"),
        ("#" * (2 << 20), "larger than"),
    ],
)
def test_a_file_that_cannot_be_read_counts_as_none(read, caplog, text, cause):
    assert read(text) == (ModelConfig(), None)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "file=m.mar/model-config.yaml" in record.getMessage()
    assert cause in record.getMessage()


def test_a_missing_file_counts_as_none(tmp_path, caplog):
    assert read_model_config(tmp_path / "absent.yaml", "m.mar/absent.yaml") == (ModelConfig(), None)
    assert "m.mar/absent.yaml" in caplog.text


YAML = st.text(alphabet="abn01:-[]{}&*!<'\"#|>? \n\t,.~=y%@`\\", max_size=60) | st.text(max_size=30)


@given(text=YAML)
def test_no_text_makes_reading_fail(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    config, document = read_model_config(path, "fuzz.yaml")
    assert isinstance(config, ModelConfig)
    assert document is None or isinstance(document, dict)
    if is_plain(document):
        arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(document))
        assert repr(arrived) == repr(document)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2026-01-31",
        "a: [{b: 2026-01-31T10:00:00Z}]",
        "a: !!set {b, c}",
        "a: !!binary aGVsbG8=",
        "a: !!omap [{b: 1}]",
        "1: a",
        "a: {true: b}",
        "a: {2.5: b}",
        "a: {~: b}",
        "a: 18446744073709551616",
        "a: -9223372036854775809",
        "a: &a " + "[" * 90 + "]" * 90 + "\nb: " + "[" * 90 + "*a" + "]" * 90,
    ],
)
def test_what_msgpack_would_change_is_not_plain(read, text):
    document = read(text)[1]
    assert document is not None
    assert not is_plain(document)


def test_text_that_no_encoding_holds_is_not_plain():
    assert not is_plain({"a": ["\ud800"]})


@pytest.mark.parametrize(
    "text",
    ["", "a: [1, 2.5, true, ~, text, {b: .inf}]", "a: 18446744073709551615", "a: &a [1]\nb: *a"],
)
def test_what_json_could_hold_is_plain(read, text):
    assert is_plain(read(text)[1])
