"""Charts as inline SVG; ink and colours are the page's CSS variables, so that they follow its dark mode."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# paint -> the colour matplotlib draws it in, which is then replaced by the CSS variable `--PAINT`
PAINTS = {
    name: f"#0000{number:02x}"
    for number, name in enumerate(("ink", "soft", "rule", "student", "twin", "teacher", "plain"), start=1)
}
COUNTED = ("epoch", "step", "component")  # x axes of whole numbers
SIZE_IN = (4.4, 2.75)  # 317 x 198 units: text of 9.5 stays legible on a phone
SMALL_IN = (3.0, 1.9)
LOG_FROM = 3.0  # a smaller ratio of the largest to the smallest value is shown on a linear axis
TEXT_PT = 9.5
_UNWANTED = [
    re.compile(pattern, re.S)
    for pattern in (
        r"<metadata>.*?</metadata>",
        r"<defs>\s*<style.*?</style>\s*</defs>",  # would hold for the whole page
        r"<!--.*?-->",
        r"(?<=<g) id=\"[^\"]*\"",  # only shapes that are referred to keep their names
        r"font-family: [^;\"]*; ",
        r" transform=\"rotate\(-0[^\"]*\"",
        r"<g/>",
    )
]
_NUMBERS = re.compile(r"\b(?:d|x|y|width|height|transform)=\"[^\"]*\"")
FEW_POINTS = 12  # so short a line gets a mark at each point


@dataclass(frozen=True)
class Chart:
    """An SVG and its title."""

    title: str
    svg: str


@dataclass(frozen=True)
class Line:
    """One line of a chart. x, y: (n,); y is left out where it is NaN. paint: a key of PAINTS."""

    name: str
    x: np.ndarray
    y: np.ndarray
    paint: str = "student"
    dashed: bool = False


def line_chart(
    identity: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    log: bool = False,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float | None, float | None] | None = None,
    legend: str = "best",
    small: bool = False,
) -> str:
    """SVG of some lines. identity: unique on the page. log: only where the values span enough for it."""
    axes = _axes(x_label, y_label, SMALL_IN if small else SIZE_IN)
    for line in lines:
        there = np.isfinite(line.x) & np.isfinite(line.y)
        axes.plot(
            line.x[there],
            line.y[there],
            color=PAINTS[line.paint],
            label=line.name,
            linestyle="--" if line.dashed else "-",
            linewidth=1.3 if line.dashed else 1.8,
            marker="o" if there.sum() <= FEW_POINTS else None,
            markersize=3.5,
        )
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    if log and len(values) and values.min() > 0 and values.max() > LOG_FROM * values.min():
        axes.set_yscale("log")
        _plain_log_ticks(axes)
    if x_limits:
        axes.set_xlim(*x_limits)
    if y_limits:
        axes.set_ylim(*y_limits)
    if len(lines) > 1:
        axes.legend(loc=legend, fontsize=TEXT_PT, frameon=False, labelcolor=PAINTS["ink"], handlelength=1.6)
    description = f"{y_label} over {x_label}: {', '.join(line.name for line in lines)}"
    return _svg(axes, identity, description)


def share_chart(identity: str, shares: np.ndarray, x_label: str, y_label: str) -> str:
    """SVG of bars, (n,) fractions in percent, and their running sum as a line."""
    axes = _axes(x_label, y_label, SIZE_IN)
    numbers = np.arange(1, len(shares) + 1)
    axes.bar(numbers, 100 * shares, color=PAINTS["student"], width=0.7, label="each")
    axes.plot(
        numbers, 100 * shares.cumsum(), color=PAINTS["twin"], marker="o", markersize=3.5, label="together"
    )
    axes.set_ylim(0, None)
    axes.legend(frameon=False, fontsize=TEXT_PT, labelcolor=PAINTS["ink"])
    return _svg(axes, identity, f"{y_label} by {x_label}")


def _axes(x_label: str, y_label: str, size_in: tuple[float, float]) -> Axes:
    figure = Figure(figsize=size_in, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x_label, color=PAINTS["soft"], fontsize=TEXT_PT)
    axes.set_ylabel(y_label, color=PAINTS["soft"], fontsize=TEXT_PT)
    axes.tick_params(colors=PAINTS["soft"], labelsize=TEXT_PT, length=0, which="both")
    axes.tick_params(axis="x", pad=5)  # or the first labels of both axes touch
    axes.grid(color=PAINTS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    if x_label in COUNTED:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(PAINTS["rule"])
    return axes


def _plain_log_ticks(axes: Axes) -> None:
    """0.02 rather than 2 x 10^-2, and not too many of them."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _svg(axes: Axes, identity: str, description: str) -> str:
    """The figure of `axes` as an <svg> element fit to stand inside a page with others.

    identity: may hold words of a file, of which only what cannot end an attribute gets into the markup.
    """
    if not re.fullmatch(r"[\w.-]+", identity):
        identity = f"chart-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    sink = io.StringIO()
    # text as text, in the page's font; a fixed salt gives the same names to the same shapes every time
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": identity}):
        axes.figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    markup = sink.getvalue()
    markup = markup[markup.index("<svg") :].strip()
    for unwanted in _UNWANTED:
        markup = unwanted.sub("", markup)
    markup = _NUMBERS.sub(lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), markup)
    markup = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{identity}-", markup)
    for paint, colour in PAINTS.items():
        markup = markup.replace(colour, f"var(--{paint})")
    markup = re.sub(r"\s*\n\s*", " ", markup)
    view_box = re.search(r"viewBox=\"[^\"]*\"", markup)[0]
    head = (
        f'<svg class="chart" role="img" aria-label="{html.escape(description)}" {view_box} '
        'stroke-linejoin="round" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + markup[markup.index(">") + 1 :]
