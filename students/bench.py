"""How long the students take on this machine: `python -m students.bench`.

On rendered photographs of several sizes with 0, 1 and 3 ears, looked at once and often: the whole call; and
its parts on one of 512x512 px with one ear, with one thread and two. Medians in milliseconds, in brackets the
90th percentile and the ratio to the first row: absolute times hold for a quiet machine alone, ratios for any.
With --against two sets of students take turns.

Writes bench.json and tables.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json, write_text
from configs.provenance import write_provenance
from students.benchmark.table import milliseconds_table

THREADS = (1, 2)
KINDS = ("detector", "landmarker")


@dataclass(frozen=True)
class Config:
    """Measure how long the students take, part by part."""

    output_dir: Path = Path("runs/bench_students")
    """Folder for bench.json and tables.md."""
    students: Path | None = None
    """Folder of a run, or one with detector.onnx and landmarker.onnx; those that ship unless given. Or one of
    two files whose names differ in that word: detector.int8.onnx stands for landmarker.int8.onnx too.
    """
    against: Path | None = None
    """Others, given likewise, that take turns with these."""
    repeats: int = 20
    """Rounds of which the median is taken."""

    def __post_init__(self) -> None:
        """Raise UserError for no rounds."""
        if self.repeats < 1:
            raise UserError(f"repeats={self.repeats}: at least 1 is needed.")


def main(config: Config) -> Path:
    """Measure; returns the output folder. Raises UserError for files that are missing or not ours."""
    import cv2

    from students.benchmark.measure import all_parts, interleaved, whole_call
    from students.benchmark.photographs import SEEDS, SIZES, photograph
    from students.inference.pipeline import PRETRAINED
    from students.inference.reading import LOOKS

    cv2.setNumThreads(1)  # the threads that are counted are ONNX Runtime's
    sets = {"students": _files(config.students) if config.students else PRETRAINED}
    if config.against is not None:
        sets["against"] = _files(config.against)
    results: dict[str, Any] = {"parts": {}, "whole_calls": {}}
    tables = []
    usual = photograph(512, 512, 1)
    for threads in THREADS:
        pipelines = _pipelines(sets, LOOKS, threads)
        rows = interleaved({name: all_parts(p, usual) for name, p in pipelines.items()}, config.repeats)
        threads_in_words = f"{threads} thread{'s' if threads > 1 else ''}"
        results["parts"][threads_in_words] = rows
        tables.append(milliseconds_table(f"{usual.name}; {threads_in_words}", rows))
    pipelines = _pipelines(sets, LOOKS, 1)
    for shown in (photograph(*size, ears) for size in SIZES for ears in SEEDS):
        rows = interleaved({name: whole_call(p, shown) for name, p in pipelines.items()}, config.repeats)
        results["whole_calls"][shown.name] = {name: row["whole call"] for name, row in rows.items()}
    by_name = {
        name: {shown: row[name] for shown, row in results["whole_calls"].items()} for name in pipelines
    }
    tables.append(milliseconds_table("whole call; 1 thread", by_name))
    text = "\n\n".join(tables) + "\n"
    print(text)
    write_json(config.output_dir / "bench.json", results)
    write_text(config.output_dir / "tables.md", text)
    write_provenance(config.output_dir, config)
    return config.output_dir


def _files(path: Path) -> tuple[Path, Path]:
    """The detector's and the landmarker's file of a run, of the folder itself, or of one of the two files."""
    if path.suffix == ".onnx":
        kind, rest = path.name.split(".", 1)
        if kind not in KINDS:
            raise UserError(
                f"{path}: which is the other file? One of the two is detector.{rest}, one landmarker.{rest}."
            )
        folder = path.parent
    else:
        folder, rest = path / "export" if (path / "export").is_dir() else path, "onnx"
    return folder / f"{KINDS[0]}.{rest}", folder / f"{KINDS[1]}.{rest}"


def _pipelines(sets: dict[str, tuple[Path, Path]], looks: tuple[str, ...], threads: int) -> dict[str, Any]:
    from students.inference.pipeline import EarPipeline

    return {
        f"{name}, {look} look{'' if look == 'one' else 's'}": EarPipeline(*files, threads=threads, looks=look)
        for name, files in sets.items()
        for look in looks
    }


if __name__ == "__main__":
    run_command(Config, main)
