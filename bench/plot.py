"""The picture of the report: requests per second as multiples of TorchServe, as plain SVG."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bench.workloads import WORKLOADS

if TYPE_CHECKING:
    from bench.results import Results

COLOURS = {
    "flambeau": "#e4572e",
    "compiled": "#f3a712",
    "mosec": "#8d99ae",
    "torchserve": "#2b2d42",
}
LEFT, WIDTH, BAR, GAP, TOP = 330, 560, 14, 16, 58


def bars(results: Results) -> str:
    """An SVG document with one group of bars per workload, on a logarithmic axis from 1x to 100x."""
    parts: list[str] = []
    y = TOP
    for workload in WORKLOADS:
        sides = results.samples.get(workload.name, {})
        if workload.latency or not sides.get("torchserve"):
            continue
        unit = median(each.rate for each in sides["torchserve"])
        parts.append(text(LEFT - 10, y + len(COLOURS) / 2 * BAR + 4, workload.title, "end"))
        for side, colour in COLOURS.items():
            if taken := sides.get(side):
                rate = median(each.rate for each in taken)
                parts += bar(y, rate / unit, f"{rate:,.0f}/s ({rate / unit:.1f}x)", colour)
            y += BAR
        y += GAP
    return document(parts, y)


def bar(y: int, multiple: float, label: str, colour: str) -> list[str]:
    """One bar and its label."""
    length = max(2.0, min(1.0, math.log10(max(multiple, 1.0)) / 2) * WIDTH)
    return [
        f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{colour}"/>',
        text(LEFT + length + 6, y + BAR - 4, label, "start"),
    ]


def text(x: float, y: float, words: str, anchor: str) -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def document(parts: list[str], bottom: int) -> str:
    """Axis, legend and the given parts."""
    frame = [
        text(LEFT, 20, "requests per second, as multiples of TorchServe (logarithmic)", "start")
    ]
    x = LEFT
    for side, colour in COLOURS.items():
        frame.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{colour}"/>')
        frame.append(text(x + 18, 40, side, "start"))
        x += 110
    for multiple in (1, 2, 5, 10, 20, 50, 100):
        tick = LEFT + math.log10(multiple) / 2 * WIDTH
        frame.append(
            f'<line x1="{tick:.1f}" y1="{TOP - 6}" x2="{tick:.1f}" y2="{bottom}" stroke="#ddd"/>'
        )
        frame.append(text(tick, bottom + 16, f"{multiple}x", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 150}" height="{bottom + 30}" '
        'font-family="sans-serif" font-size="12" fill="#222">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(frame + parts)
        + "\n</svg>\n"
    )
