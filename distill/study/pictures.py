"""Curves over the label budgets, and where on the ear an arm helps or hurts: PNG files."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.files import write_atomic
from data.landmarks import Scheme, load_scheme
from distill.report.ear_figure import drawn_points, ear_outlines
from distill.study.bootstrap import SAME
from distill.study.tables import MODEL_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, RULE = "#24211d", "#6b655d", "#e4dfd7"
EAR_PAINT = {"skin": "#f3ddcc", "bowl": "#e3c2aa", "fold": "#a97f62"}
HELPS, HURTS = "#1463b0", "#b8590a"
# Okabe and Ito's colours, which the colour-blind can distinguish too; black for baselines
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
TEXT_PT = 9.5
LETTERS_AN_INCH = 12  # of text of that size
DPI = 160
SPREAD = 0.02  # of the x axis' logarithm between arms, or their intervals would hide each other
BORDER = 1.25  # of the x axis, beyond the fewest and the most labels
AREA_PT2 = 240.0  # of the largest circle on the ear


def curve_picture(name: str, model: dict[str, Any], path: Path) -> Path:
    """Left the measure of each arm over the labels, right the differences of the pairs, with intervals."""
    figure, (left, right) = _figure(columns=2, size_in=(10.5, 4.2))
    arms = {arm: entries for arm, entries in model["arms"].items() if entries}
    colours = _colours(model, list(arms))
    for place, (arm, entries) in enumerate(arms.items()):
        low, high = np.array([entry["interval"] for entry in entries]).T
        labels = _shifted(entries, place - (len(arms) - 1) / 2)
        _intervals(left, labels, [entry["mean"] for entry in entries], low, high, colours[arm], arm)
    if model["lower_is_better"]:
        left.set_yscale("log")
        _plain_ticks(left.yaxis)
    left.set_ylabel(f"{model['headline'].upper()} (95 % interval)", color=SOFT, fontsize=TEXT_PT)
    left.legend(frameon=False, fontsize=TEXT_PT, labelcolor=INK)
    _differences(right, model, colours)
    ticks = sorted({entry["labels"] for entries in arms.values() for entry in entries})
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(ticks[0] / BORDER, ticks[-1] * BORDER)
        axes.set_xlabel("labels", color=SOFT, fontsize=TEXT_PT)
    figure.suptitle(MODEL_TITLES[name], color=INK, fontsize=12)
    return _write(figure, path)


def has_landmarks_picture(model: dict[str, Any]) -> bool:
    """Whether arms were compared on the project's own landmarks, whose mean ear they can be drawn on."""
    return bool(model["pairs"]) and tuple(model.get("landmarks") or ()) == load_scheme().names


def landmarks_picture(model: dict[str, Any], path: Path) -> Path:
    """A row a pair, a column a budget: the mean ear, blue where the arm errs less, orange where more."""
    scheme = load_scheme()
    pairs = list(dict.fromkeys((pair["arm"], pair["baseline"]) for pair in model["pairs"]))
    budgets = list(dict.fromkeys(pair["budget"] for pair in model["pairs"]))
    largest = max(np.abs(pair["landmarks"]["difference"]).max() for pair in model["pairs"])
    size_in = (max(2.1 * len(budgets), 5.0), 2.9 * len(pairs) + 0.9)
    figure, axes = _figure(len(pairs), len(budgets), size_in)
    by_place = {(pair["arm"], pair["baseline"], pair["budget"]): pair for pair in model["pairs"]}
    for row, (arm, baseline) in enumerate(pairs):
        for column, budget in enumerate(budgets):
            place = axes[row * len(budgets) + column]
            place.set_axis_off()
            pair = by_place.get((arm, baseline, budget))
            if pair is not None:
                title = f"{arm} against {baseline}\n{pair['labels']} labels"
                place.set_title(title, fontsize=TEXT_PT, color=INK)
                _ear(place, scheme, pair["landmarks"], largest)
    words = (
        "Error of each landmark, arm minus baseline. Blue: smaller, orange: larger. Area: up to "
        f"{100 * largest:.2f} % of the diagonal. Filled: the 95 % interval leaves out 0."
    )
    figure.suptitle(fill(words, round(LETTERS_AN_INCH * size_in[0])), fontsize=TEXT_PT, color=SOFT)
    return _write(figure, path)


def _differences(axes: Axes, model: dict[str, Any], colours: dict[str, str]) -> None:
    """Filled marks where the verdict is not NO DIFFERENCE."""
    pairs = list(dict.fromkeys((pair["arm"], pair["baseline"]) for pair in model["pairs"]))
    for place, (arm, baseline) in enumerate(pairs):
        of_pair = [pair for pair in model["pairs"] if (pair["arm"], pair["baseline"]) == (arm, baseline)]
        low, high = np.array([pair["interval"] for pair in of_pair]).T
        labels = _shifted(of_pair, place - (len(pairs) - 1) / 2)
        values = [pair["difference"] for pair in of_pair]
        _intervals(axes, labels, values, low, high, colours[arm], f"{arm} against {baseline}")
        same = [index for index, pair in enumerate(of_pair) if pair["verdict"] == SAME]
        axes.plot(
            labels[same], np.array(values)[same], "o", color=colours[arm], markersize=5,
            markerfacecolor="white", zorder=4,
        )  # fmt: skip
    axes.axhline(0, color=SOFT, linewidth=1)
    unit, better = ("%", "below") if model["lower_is_better"] else ("points of AP", "above")
    axes.set_ylabel(f"difference, {unit} (better {better} 0)", color=SOFT, fontsize=TEXT_PT)
    if pairs:
        axes.legend(
            frameon=False, fontsize=TEXT_PT, labelcolor=INK, title="hollow: no difference shown",
            title_fontsize=TEXT_PT - 1,
        )  # fmt: skip


def _intervals(
    axes: Axes, x: np.ndarray, y: Any, low: np.ndarray, high: np.ndarray, colour: str, label: str
) -> None:
    y = np.asarray(y)
    around = np.array([y - low, high - y]).clip(0)  # a skewed interval may leave its mean out by a hair
    axes.errorbar(
        x, y, around, color=colour, label=label, marker="o", markersize=5, linewidth=1.6, elinewidth=1.1,
        capsize=2.5, zorder=3,
    )  # fmt: skip


def _ear(axes: Axes, scheme: Scheme, landmarks: dict[str, Any], largest: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    points = drawn_points(scheme.mean_shape_unit)
    for kind, curve in ear_outlines(points, scheme):
        codes = [Outline.MOVETO, *[Outline.CURVE4] * (len(curve) - 1)]
        paint = {"facecolor": "none" if kind == "fold" else EAR_PAINT[kind]}
        line = {"edgecolor": EAR_PAINT["fold"] if kind == "fold" else "none", "linewidth": 1.0}
        axes.add_patch(PathPatch(Outline(curve, codes), **paint, **line))
    difference = np.array(landmarks["difference"])
    sure = (np.array(landmarks["low"]) > 0) | (np.array(landmarks["high"]) < 0)
    colours = np.where(difference < 0, HELPS, HURTS)
    areas = AREA_PT2 * np.abs(difference) / (largest or 1.0)
    for chosen in (sure, ~sure):
        axes.scatter(
            *points[chosen].T,
            s=areas[chosen],
            facecolors=list(colours[chosen]) if chosen is sure else "none",
            edgecolors=list(colours[chosen]),
            linewidths=1.3,
            alpha=0.85,
            zorder=3,
        )
    margin = 22.0
    axes.set_xlim(points[:, 0].min() - margin, points[:, 0].max() + margin)
    axes.set_ylim(points[:, 1].max() + margin, points[:, 1].min() - margin)  # y runs down
    axes.set_aspect("equal")


def _figure(rows: int = 1, columns: int = 1, size_in: tuple[float, float] = (6, 4)) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for place in axes:
        place.tick_params(colors=SOFT, labelsize=TEXT_PT, length=0, which="both")
        place.grid(color=RULE, linewidth=0.8)
        place.set_axisbelow(True)
        for side, spine in place.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(RULE)
    return figure, axes


def _colours(model: dict[str, Any], arms: list[str]) -> dict[str, str]:
    """Baselines in black, the others in turn."""
    baselines = {pair["baseline"] for pair in model["pairs"]} - {pair["arm"] for pair in model["pairs"]}
    others = [arm for arm in arms if arm not in baselines]
    return {arm: INK for arm in arms if arm in baselines} | {
        arm: COLOURS[number % len(COLOURS)] for number, arm in enumerate(others)
    }


def _shifted(entries: list[dict[str, Any]], steps: float) -> np.ndarray:
    return np.array([entry["labels"] for entry in entries]) * np.exp(SPREAD * steps)


def _plain_ticks(axis: Any) -> None:
    """0.02 rather than 2 x 10^-2, and some of them also where the axis spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    axis.set_major_locator(MaxNLocator(7, steps=(1, 2, 5, 10)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _write(figure: Figure, path: Path) -> Path:
    return write_atomic(
        path, lambda temporary: figure.savefig(temporary, dpi=DPI, facecolor="white", metadata={})
    )
