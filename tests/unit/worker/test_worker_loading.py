from __future__ import annotations

import pytest
import yaml

from flambeau.transport.messages import Failed, Loaded


def answer(one, body=b"x"):
    return one.predict(body)[0].body


def test_a_function_is_called_once_with_none_to_load(worker):
    one = worker("""
        calls = []
        def handle(data, context):
            calls.append(data is None)
            return None if data is None else [str(calls)]
    """)
    assert answer(one) == b"[True, False]"


def test_a_class_is_made_and_initialised(worker):
    one = worker("""
        class Handler:
            def initialize(self, context):
                self.name = context.model_name
            def handle(self, data, context):
                return [self.name for _ in data]
    """)
    assert answer(one) == b"m"


def test_a_function_called_handle_wins_over_a_class(worker):
    one = worker("""
        class Handler:
            pass
        def handle(data, context):
            return None if data is None else ["function"]
    """)
    assert answer(one) == b"function"


def test_a_function_is_chosen_by_name(worker):
    one = worker(
        """
        def first(data, context):
            return None if data is None else ["first"]
        def second(data, context):
            return None if data is None else ["second"]
        """,
        handler="handler_under_test.py:second",
    )
    assert answer(one) == b"second"


@pytest.mark.parametrize(
    "spelling", ["handler_under_test", "handler_under_test.py", "some/where/handler_under_test.py"]
)
def test_the_handler_may_be_spelled_with_a_folder_and_an_ending(worker, spelling):
    one = worker(
        "def handle(data, context):\n    return None if data is None else ['ok']\n",
        handler=spelling,
    )
    assert answer(one) == b"ok"


def test_a_dotted_module_is_found(worker, archive):
    folder = archive()
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "serve.py").write_text(
        "def handle(data, context):\n    return None if data is None else ['dotted']\n"
    )
    assert answer(worker(handler="package.serve")) == b"dotted"


def test_a_handle_set_in_the_constructor_is_used(worker):
    one = worker("""
        class Handler:
            def __init__(self):
                self.handle = lambda data, context: ["attribute"]
            def initialize(self, context):
                pass
    """)
    assert answer(one) == b"attribute"


def test_two_classes_without_a_function_are_refused_by_name(worker):
    one = worker("""
        class A:
            pass
        class B(A):
            pass
    """)
    assert isinstance(one.loaded, Failed)
    assert one.loaded.cause.startswith(
        "ValueError: Expected only one class in custom service code or a function entry point"
    )
    assert "'A', 'B'" in one.loaded.cause


def test_imported_classes_do_not_count(worker):
    one = worker("""
        from collections import OrderedDict
        class Handler:
            def initialize(self, context): pass
            def handle(self, data, context): return ["one"]
    """)
    assert answer(one) == b"one"


def test_a_class_without_initialize_is_refused(worker):
    one = worker("""
        class Handler:
            def handle(self, data, context): return data
    """)
    assert "has no attribute 'initialize'" in one.loaded.cause


def test_an_import_error_inside_the_file_is_reported_as_itself(worker):
    one = worker("import no_such_package_anywhere\n")
    assert one.loaded.cause == "ModuleNotFoundError: No module named 'no_such_package_anywhere'"
    assert one.loaded.where == "handler_under_test.py:1"


def test_a_missing_handler_says_where_it_was_looked_for(worker):
    one = worker(handler="nowhere.py")
    assert one.loaded.cause.startswith("ModuleNotFoundError: handler 'nowhere.py'")
    assert "no shipped handler has that name" in one.loaded.cause


def test_a_syntax_error_names_its_line(worker):
    one = worker("x = 1\ndef handle(data, context)\n    return []\n")
    assert one.loaded.cause.startswith("SyntaxError: expected ':'")
    assert one.loaded.where == "handler_under_test.py:2"


def test_the_innermost_line_of_the_archive_is_named(worker, archive):
    archive(deeper="import json\ndef parse():\n    return json.loads('{')\n")
    one = worker("import deeper\ndef handle(data, context):\n    deeper.parse()\n")
    assert one.loaded.where == "deeper.py:3"


@pytest.mark.parametrize(
    ("error", "out_of_memory"),
    [("MemoryError()", True), ("RuntimeError('CUDA error')", True), ("RuntimeError('no')", False)],
)
def test_running_out_of_memory_is_told_apart(worker, error, out_of_memory):
    one = worker(f"def handle(data, context):\n    raise {error}\n")
    assert one.loaded.out_of_memory is out_of_memory


def test_leaving_the_process_while_loading_is_a_failed_load(worker):
    one = worker("import sys\nsys.exit(7)\n")
    assert one.loaded.cause == "SystemExit: 7"
    assert one.wait() == 1


def test_the_archive_is_the_working_folder_and_comes_first_on_the_path(worker, archive):
    folder = archive(
        json="def handle(data, context):\n    return None if data is None else ['own']\n"
    )
    one = worker(handler="json.py")
    assert answer(one) == b"own"
    assert folder.is_dir()


def test_the_import_path_of_the_environment_comes_behind_the_models_folder(
    worker, archive, tmp_path
):
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "only_there.py").write_text("WORD = 'found'\n")
    one = worker(
        """
        import os, sys, only_there
        def handle(data, context):
            if data is None:
                return None
            same = os.path.realpath(os.getcwd()) == os.path.realpath(sys.path[0])
            return [f"{only_there.WORD} {os.environ['MY_SETTING']} {same}"]
        """,
        environment={"PYTHONPATH": str(extra), "MY_SETTING": "here"},
    )
    assert answer(one) == b"found here True"


def test_an_unknown_envelope_names_the_shipped_ones(worker):
    one = worker("def handle(data, context):\n    return data\n", envelope="nope")
    assert one.loaded.cause.startswith("ValueError: service_envelope=nope: no such envelope")


def test_a_broken_metrics_file_fails_the_load(worker, tmp_path):
    path = tmp_path / "metrics.yaml"
    path.write_text("model_metrics:\n  odd: []\n")
    one = worker("def handle(data, context):\n    return data\n", metrics_config=str(path))
    assert "Invalid metric type" in one.loaded.cause


def test_a_model_config_sent_as_text_is_what_yaml_makes_of_it(worker):
    text = "since: 2026-01-31\n7: seven\nparts: !!set {a}\nkey: !!binary aGVsbG8=\n"
    one = worker(
        """
        def handle(data, context):
            return None if data is None else [repr(context.model_yaml_config)]
        """,
        model_yaml_config=None,
        model_yaml_text=text,
    )
    assert answer(one).decode() == repr(yaml.safe_load(text))


def test_a_light_worker_imports_neither_yaml_nor_asyncio(worker):
    one = worker("""
        import sys
        HEAVY = ("yaml", "asyncio", "requests", "numpy", "torch", "multiprocessing")
        def handle(data, context):
            return None if data is None else [str([name for name in HEAVY if name in sys.modules])]
    """)
    assert isinstance(one.loaded, Loaded)
    assert answer(one) == b"[]"
