"""Find ears and their 17 points in photographs: `pinna photo.jpg`, or `python -m pinna photo.jpg`.

A line an ear, or with --json all of it, in the layout of the predictions.json that `students.predict` writes.
A photograph that cannot be read is reported and left out, the rest goes on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from configs.errors import UserError
from pinna.images import read_image, write_image
from students.inference.overlay import draw_ears
from students.inference.pipeline import Ear, EarPipeline
from students.inference.records import ear_records, source_record


def main(words: Sequence[str] | None = None) -> int:
    """Read the photographs that the command line names. Returns the exit code."""
    try:
        options = parser().parse_args(words)
        photographs, overlay = options.photographs, options.overlay
        if not photographs:
            raise UserError(
                "no photograph given: name one, as in `pinna photo.jpg`; `pinna --help` says more."
            )
        if overlay is not None:
            _require_overlay(overlay, photographs)
        code = _find_ears(photographs, overlay, options.json)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `pinna ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    found = _Parser(prog="pinna", description=__doc__.split("\n\n", 1)[1])
    found.add_argument("photographs", nargs="*", metavar="PHOTOGRAPH", help="image files")
    found.add_argument("--json", action="store_true", help="print boxes, scores, points, confidences as JSON")
    found.add_argument("--overlay", type=Path, metavar="OUT", help="draw the ears of one photograph to OUT")
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of printing the usage."""
        raise UserError(f"{message}; `pinna --help` names what there is.")


def _require_overlay(overlay: Path, photographs: Sequence[str]) -> None:
    if len(photographs) > 1:
        raise UserError(f"--overlay draws one photograph, found {len(photographs)}: give them one by one.")
    if os.path.realpath(overlay) == os.path.realpath(photographs[0]):
        raise UserError(f"{overlay} is the photograph itself: choose another name for --overlay.")


def _find_ears(photographs: Sequence[str], overlay: Path | None, as_json: bool) -> int:
    pipeline = EarPipeline.pretrained()
    records: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for photograph in photographs:
        try:
            rgb = read_image(photograph)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            skipped.append({"path": photograph, "reason": str(error)})
            continue
        ears = pipeline(rgb)
        records.append(source_record(photograph, "image", rgb) | {"ears": ear_records(ears)})
        if overlay is not None:
            write_image(overlay, draw_ears(rgb, ears, pipeline.curves))
        if not as_json:
            print(_in_words(photograph, ears))
    if as_json:
        names = list(pipeline.landmark_names)
        print(json.dumps({"landmark_names": names, "inputs": records, "skipped": skipped}, indent=2))
    return 1 if skipped else 0


def _in_words(photograph: str, ears: Sequence[Ear]) -> str:
    lines = [f"{photograph}: {len(ears) or 'no'} {'ear' if len(ears) == 1 else 'ears'}"]
    for ear in ears:
        x1, y1, x2, y2 = ear.box_xyxy
        lines.append(f"  {x1:.1f}, {y1:.1f} to {x2:.1f}, {y2:.1f} px, score {ear.score:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
