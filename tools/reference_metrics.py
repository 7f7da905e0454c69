"""Write docs/reference/metrics.md from the two tables of metrics.

python tools/reference_metrics.py           # write the page
python tools/reference_metrics.py --check   # fail when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from flambeau.metrics.definitions import read_definitions
from flambeau.metrics.own import OWN

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "metrics.md"
MADE = "<!-- Made by tools/reference_metrics.py. Change the tables it reads, not this page. -->"
INTRODUCTION = (
    "What `GET /metrics` shows at `metrics_address`. A series appears with its first value; those "
    "of a version go when it is unregistered."
)
OWN_INTRODUCTION = "Always kept, and not in `metrics.yaml`. Buckets are upper ends."
TRADITIONAL_INTRODUCTION = (
    "Declared under `ts_metrics` in `metrics.yaml`; a file of your own, named by `metrics_config`, "
    "replaces these. What handlers report stands under `model_metrics` there."
)


def page() -> str:
    lines = ["# Metrics", "", MADE, "", INTRODUCTION, "", "## Metrics of flambeau", ""]
    lines += [OWN_INTRODUCTION, "", "| name | kind | labels | meaning | buckets |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for own in OWN:
        bounds = ", ".join(f"{bound:g}" for bound in own.bounds)
        labels = ", ".join(own.labels)
        lines.append(f"| `{own.name}` | {own.kind} | {labels} | {own.sentence} | {bounds} |")
    lines += ["", "## Metrics under traditional names", "", TRADITIONAL_INTRODUCTION, ""]
    lines += ["| name | kind | unit | labels |", "| --- | --- | --- | --- |"]
    for one in read_definitions(None).server:
        lines.append(f"| `{one.name}` | {one.kind} | {one.unit} | {', '.join(one.labels)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """1 with ``--check`` and a page that is out of date, else 0."""
    if "--check" not in arguments:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        print("docs/reference/metrics.md is out of date: run python tools/reference_metrics.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
