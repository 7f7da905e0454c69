from __future__ import annotations

import io
import os
import sys
import types
from collections import OrderedDict

import pytest

from flambeau.compat.functions import (
    deprecated,
    get_yaml_config,
    import_class,
    list_classes_from_module,
)
from flambeau.compat.model_service import ModelService, SingleNodeService
from flambeau.worker import machine
from flambeau.worker.context import Context
from flambeau.worker.metric_values import Dimension


def test_a_deprecated_function_warns_and_works():
    @deprecated("9.9", replacement="new")
    def old(x):
        return x

    with pytest.warns(
        PendingDeprecationWarning, match=r"old is deprecated in 9\.9 and moved to new"
    ):
        assert old(4) == 4


def test_only_classes_of_the_module_itself_are_listed():
    module = types.ModuleType("made_up")
    exec("class A: pass\nclass B(A): pass", vars(module))
    module.Foreign = Dimension
    assert [one.__name__ for one in list_classes_from_module(module)] == ["A", "B"]
    assert list_classes_from_module(module, module.B) == [module.B]


def test_classes_are_imported_by_name():
    assert import_class("collections.OrderedDict") is OrderedDict
    assert import_class("OrderedDict", "collections") is OrderedDict
    with pytest.raises(ImportError, match="class:nope not found"):
        import_class("nope", "collections")
    with pytest.raises(ImportError, match="class:Alone not found"):
        import_class("Alone")


def test_yaml_files_are_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: [1, 2]\n")
    assert get_yaml_config(str(path)) == {"a": [1, 2]}


class Old(SingleNodeService):
    def _inference(self, data):
        return [one * 2 for one in data]


def test_very_old_handlers_still_answer():
    context = Context("m", "/model", {"model": {"signature": "s"}}, 1, 0, "v")
    service = Old("x", "y", None)
    service.initialize(context)
    assert (service.model_name, service.model_dir, service.gpu) == ("m", "/model", 0)
    assert service.signature() == "s"
    assert service.handle([1, 2], context) == [2, 4]
    assert service.ping() is None
    with pytest.raises(NotImplementedError):
        ModelService("m", "d", None).inference([])


def test_machine_readings_are_printed_as_metric_lines(capsys, monkeypatch):
    monkeypatch.setattr(machine, "system_metrics", [])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{os.getpid()},999999999,x\n"))
    machine.main(["--gpu", "0"])
    lines = capsys.readouterr().out.splitlines()
    gap = lines.index("")
    names = {line.partition(".")[0] for line in lines[:gap]}
    assert names == {
        "CPUUtilization",
        "DiskAvailable",
        "DiskUsage",
        "DiskUtilization",
        "MemoryAvailable",
        "MemoryUsed",
        "MemoryUtilization",
    }
    assert all("|#Level:Host|#hostname:" in line for line in lines[:gap])
    pid, resident = lines[gap + 1].split(":")
    assert (int(pid), len(lines)) == (os.getpid(), gap + 2)
    assert int(resident) > 1_000_000
    assert machine.get_cpu_usage(os.getpid()) >= 0.0
    assert machine.get_cpu_usage(999_999_999) == 0.0
