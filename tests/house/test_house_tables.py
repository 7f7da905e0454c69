"""Tables are what they say: one made-up row in each of them is seen everywhere without another edit.

The rows are written into a copy of the sources; a server, the commands and the generators of the
reference pages run from that copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import write_archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

ROOT = Path(__file__).parents[2]
ROWS = {
    "config/options.py": (
        "    # --- HTTP\n",
        '    made_up_setting: Annotated[int, Setting("Made-up setting.", flag="--made-up-setting")] = 7\n',
    ),
    "errors.py": (
        "class InvalidModel(BadRequest):\n",
        """class MadeUp(FlambeauError):
    \"\"\"A made-up error.\"\"\"

    type_name = "MadeUpException"
    status = 418
    grpc = "DATA_LOSS"


""",
    ),
    "rest/endpoints.py": (
        "ENDPOINTS: tuple[Endpoint, ...] = (\n",
        (
            '    Endpoint(("GET",), "/made-up", _INFERENCE, "madeUp", health.live,'
            ' "A made-up endpoint.", gives=StatusView, errors=(errors.MadeUp,)),\n'
        ),
    ),
    "versions/table.py": (
        "    batch_size: Annotated[\n",
        (
            '    made_up_value: Annotated[int, Value("Made-up value", wins=(REGISTER, CONFIG, MODELS),'
            ' asked=(REGISTER,), config="madeUpValue", models="madeUpValue",'
            ' described="madeUpValue", least=1)] = 3\n'
        ),
    ),
    "metrics/own.py": (
        "OWN: Final = (\n",
        '    Own("flambeau_made_up_total", MetricKind.COUNTER, (), "A made-up metric."),\n',
    ),
}
"""File of a table, the line at which a row is added, and the row. A class goes before its line."""
BEFORE = {"errors.py", "versions/table.py"}
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the project's, with one more row in every table."""
    root = tmp_path_factory.mktemp("extended")
    for name in ("src", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (line, row) in ROWS.items():
        path = root / "src" / "flambeau" / name
        text = path.read_text()
        assert text.count(line) == 1, f"{name} has no such place any more: {line}"
        added = row + line if name in BEFORE else line + row
        path.write_text(text.replace(line, added))
    return root


def of_copy(root: Path) -> dict[str, str]:
    """What a process must find in its environment to run from the copy."""
    return {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}


def printed(root: Path, *words: str) -> str:
    """What ``python words`` prints when it runs from the copy."""
    command = [sys.executable, *words]
    environment = os.environ | of_copy(root)
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("-m", "flambeau", "serve"), "--made-up-setting"),
        (("-m", "flambeau.cli.torchserve"), "--made-up-setting"),
        (("-m", "flambeau", "models", "register"), "--made-up-value"),
    ],
)
def test_a_setting_and_a_value_have_a_flag(
    extended: Path, words: tuple[str, ...], flag: str
) -> None:
    assert flag in printed(extended, *words, "--help")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("configuration", ("`made_up_setting`", "`TS_MADE_UP_SETTING`", "`--made-up-setting`")),
        ("commands", ("--made-up-setting", "--made-up-value")),
        ("rest-api", ("/made-up", "madeUp", "made_up_value", "MadeUpException")),
        ("errors", ("MadeUp", "418", "DATA_LOSS")),
        ("model-config", ("madeUpValue",)),
        ("metrics", ("flambeau_made_up_total", "A made-up metric.")),
    ],
)
def test_every_row_is_on_its_reference_page(pages: Path, page: str, words: tuple[str, ...]) -> None:
    text = (pages / f"{page}.md").read_text()
    assert [word for word in words if word not in text] == []


@pytest.fixture(scope="module")
def pages(extended: Path) -> Path:
    """The reference pages, made from the copy."""
    for generator in (extended / "tools").glob("reference*.py"):
        printed(extended, str(generator))
    return extended / "docs" / "reference"


def test_a_running_server_has_every_row(
    extended: Path, serve: Callable[..., LiveServer], tmp_path: Path
) -> None:
    server = serve(flags=("--made-up-setting", "8"), environment=of_copy(extended))
    write_archive(server.store / "echo.mar", {"h.py": ECHO}, handler="h")
    assert server.register("echo.mar", made_up_value=5).status_code == 200
    [described] = server.client.get(f"{server.management}/models/echo").json()
    assert described["madeUpValue"] == 5
    assert server.client.get(f"{server.inference}/made-up").status_code == 200
    assert server.client.post(f"{server.inference}/made-up").status_code == 405
    document = server.client.options(f"{server.inference}/").json()
    assert {"200", "418"} <= set(document["paths"]["/made-up"]["get"]["responses"])
    document = server.client.options(f"{server.management}/").json()
    parameters = document["paths"]["/models"]["post"]["parameters"]
    assert "made_up_value" in [each["name"] for each in parameters]
    assert "flambeau_made_up_total" in server.client.get(f"{server.metrics}/metrics").text


def test_an_error_has_its_number_in_both_faces(extended: Path) -> None:
    program = (
        "from flambeau.errors import MadeUp; from flambeau.grpc.status import code_of;"
        "from flambeau.rest.replies import *; import flambeau.rest.replies as r;"
        "print(code_of(MadeUp('so')).name, MadeUp('so').status)"
    )
    assert printed(extended, "-c", program) == "DATA_LOSS 418\n"
