"""The study as Markdown: `study.md`, for reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from students.evaluation.markdown_tables import markdown_table, number

MODEL_TITLES = {"landmarker": "Landmarker", "ear_detector": "EarDetector", "detector": "Detector"}
DIGITS = {"nme": 4, "ap": 3}
NONE = "-"


def study_page(study: dict[str, Any]) -> str:
    """Markdown of what `distill.study.analysis.analyse` returns."""
    there, missing = study["cells"]["there"], study["cells"]["missing"]
    comparisons = sum(len(model["pairs"]) for model in study["models"].values())
    parts = [
        f"# Study {study['name']}",
        "",
        f"Recipe {study['recipe']}, seeds {_list(study['seeds'])}; {there} of {there + len(missing)} cells "
        "are there.",
        "",
        "A verdict is BEATS or WORSE when the 95 % interval of the difference leaves out 0: a paired "
        f"bootstrap, {study['draws']:,} draws of test images and seeds, the same for both arms. Of "
        f"{comparisons} comparisons one in twenty would do so by chance. ± is the standard deviation from "
        "seed to seed.",
        "",
    ]
    for name, model in study["models"].items():
        parts += _model_section(name, model)
    if missing:
        parts += ["## Missing cells", "", *_missing_lines(missing), ""]
    return "\n".join(parts)


def _missing_lines(missing: dict[str, str]) -> list[str]:
    """A line an arm and reason: `- landmarker.both, never ran: 25.0, 25.1` (budget and seed)."""
    places: dict[tuple[str, str], list[str]] = {}
    for cell, why in missing.items():
        model, arm, place = cell.split(".", 2)
        places.setdefault((f"{model}.{arm}", why), []).append(place)
    return [f"- {arm}, {why}: {', '.join(found)}" for (arm, why), found in places.items()]


def _model_section(name: str, model: dict[str, Any]) -> list[str]:
    headline = model["headline"].upper()
    better = "lower" if model["lower_is_better"] else "higher"
    parts = [
        f"## {MODEL_TITLES[name]}",
        "",
        f"{headline} of {model['test_images']} test images ({better} is better); "
        f"{model['parameters']:,} parameters, {model['multiply_adds'] / 1e6:,.1f} M multiply-adds an image.",
        "",
        _arms_table(model),
        "",
    ]
    if model["pairs"]:
        parts += [_pairs_table(model), ""]
        if any(len(pair["seeds"]) < 2 for pair in model["pairs"]):
            parts += ["\\* one seed: the interval is over test images alone and says nothing of others.", ""]
        parts += _landmark_lines(model)
    return parts + _side_table(model) + _settings_lines(model) + _acceptance_lines(model)


def _arms_table(model: dict[str, Any]) -> str:
    """A row an arm, a column a budget: mean, interval, noise."""
    digits = DIGITS[model["headline"]]
    budgets: dict[str, str] = {}
    for entries in model["arms"].values():
        budgets |= {entry["budget"]: _budget(entry) for entry in entries}
    ordered = sorted(budgets, key=lambda word: (word == "all", int(word) if word != "all" else 0))
    rows = []
    for arm, entries in model["arms"].items():
        by_budget = {entry["budget"]: entry for entry in entries}
        cells = [_arm_cell(by_budget[word], digits) if word in by_budget else NONE for word in ordered]
        rows.append((arm, *cells))
    return markdown_table((model["headline"].upper(), *(budgets[word] for word in ordered)), rows)


def _arm_cell(entry: dict[str, Any], digits: int) -> str:
    low, high = entry["interval"]
    noise = f" ±{entry['noise']:.{digits}f}" if entry["noise"] is not None else ""
    return f"{entry['mean']:.{digits}f}{noise} ({low:.{digits}f} to {high:.{digits}f})"


def _pairs_table(model: dict[str, Any]) -> str:
    digits, unit = DIGITS[model["headline"]], "%" if model["lower_is_better"] else "points"
    headings = ("pair", "labels", "seeds", "arm", "baseline", f"difference, {unit}", "95 %", "noise",
                "verdict", "worth baseline's labels")  # fmt: skip
    rows = [
        (
            f"{pair['arm']} against {pair['baseline']}",
            _budget(pair),
            str(len(pair["seeds"])),
            *(number(mean, digits) for mean in pair["means"]),
            f"{pair['difference']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*pair["interval"]),
            NONE if pair["noise"] is None else f"±{pair['noise']:.1f}",
            pair["verdict"] + ("*" if len(pair["seeds"]) < 2 else ""),
            _worth(pair["label_efficiency"]),
        )
        for pair in model["pairs"]
    ]
    return markdown_table(headings, rows)


def _worth(efficiency: dict[str, Any] | None) -> str:
    """Labels of the baseline for the same error, and how many times the arm's own."""
    if efficiency is None:
        return NONE
    low, high = (_times(limit["times"], limit["bound"]) for limit in efficiency["interval"])
    times = _times(efficiency["times"], efficiency["bound"])
    bound = "" if efficiency["bound"] == "=" else f"{efficiency['bound']} "
    return f"{bound}{efficiency['labels']:.0f}, {times} x ({low} to {high})"


def _times(times: float, bound: str) -> str:
    return ("" if bound == "=" else f"{bound} ") + f"{times:.2f}"


def _side_table(model: dict[str, Any]) -> list[str]:
    """What training took, and how much worse the worst border around the box is than that of the training."""
    rows = [
        (
            arm,
            _budget(entry),
            number(entry["training_seconds"], 0),
            number(entry.get("tightness_worst_ratio"), 3),
        )
        for arm, entries in model["arms"].items()
        for entry in entries
    ]
    headings = ["arm", "labels", "training, s", "worst crop border / trained one"]
    if not any("tightness_worst_ratio" in entry for entries in model["arms"].values() for entry in entries):
        headings, rows = headings[:3], [row[:3] for row in rows]
    return [markdown_table(headings, rows), ""]


def _landmark_lines(model: dict[str, Any]) -> list[str]:
    """Points whose interval leaves out 0, pair by pair."""
    names = model.get("landmarks")
    lines = []
    for pair in model["pairs"] if names else ():
        points = pair["landmarks"]
        helped = [name for name, high in zip(names, points["high"], strict=True) if high < 0]
        hurt = [name for name, low in zip(names, points["low"], strict=True) if low > 0]
        lines.append(
            f"- {pair['arm']} against {pair['baseline']}, {_budget(pair)}: "
            f"better at {_some(helped, names)}; worse at {_some(hurt, names)}"
        )
    return ["Landmarks whose own interval leaves out 0:", "", *lines, ""] if lines else []


def _settings_lines(model: dict[str, Any]) -> list[str]:
    lines = [
        f"- {arm}: " + (", ".join(f"{key} {value}" for key, value in settings.items()) or "nothing")
        for arm, settings in model["settings"].items()
    ]
    return ["What the arms differ in:", "", *lines, ""] if any(model["settings"].values()) else []


def _acceptance_lines(model: dict[str, Any]) -> list[str]:
    """Where the labeller did not pass its acceptance test; there the arm was trained on no predictions."""
    lines = [
        f"- {arm}, {_budget(entry)}: admitted in {entry['labeller_admitted']} of {len(entry['seeds'])} seeds"
        for arm, entries in model["arms"].items()
        for entry in entries
        if entry.get("labeller_admitted", len(entry["seeds"])) < len(entry["seeds"])
    ]
    return ["The labeller did not pass its acceptance test everywhere:", "", *lines, ""] if lines else []


def _budget(entry: dict[str, Any]) -> str:
    return f"all {entry['labels']}" if entry["budget"] == "all" else f"{entry['labels']}"


def _some(chosen: Sequence[str], every: Sequence[str]) -> str:
    return "all" if len(chosen) == len(every) else _list(chosen) or "none"


def _list(words: Sequence[Any]) -> str:
    return ", ".join(map(str, words))
