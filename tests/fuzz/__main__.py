"""Fuzz all readers for some minutes: `python -m tests.fuzz --minutes 10`.

Each reader gets its share of the time, in a process of its own, so that one that dies is seen too. Exits with
1 where an input raised another error than UserError, took more than 5 s or more than 1 GB. Such inputs are
kept in tests/fuzz/corpus, which the ordinary tests read again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import onnxruntime  # noqa: F401  (once, for all the processes that are forked from this one)
import torch

import tests.conftest  # noqa: F401  (few threads)
from tests.fuzz.campaign import Result, fuzz, keep
from tests.fuzz.readers import READERS

_PATIENCE_S = 120.0  # what a reader imports, and its last input
_AT_ONCE = 200  # inputs between two looks at the clock


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args(argv)
    names = chosen.reader or list(READERS)
    number = random.randrange(2**32) if chosen.seed is None else chosen.seed
    torch.set_num_threads(1)
    inputs = faults = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pinna_fuzz_") as folder:
            found = _in_process(name, 60 * chosen.minutes / len(names), number, Path(folder))
        failed = sum(found["faults"].values())
        inputs, faults = inputs + found["inputs"], faults + failed
        print(f"{name:<22}{found['inputs']:>8,} inputs {failed:>6,} failed", flush=True)
        for line in [*(f"{count:>8,}  {kind}" for kind, count in found["faults"].items()), *found["kept"]]:
            print(f"    {line}", flush=True)
    print(f"{inputs:,} inputs, {faults:,} failed (seed {number})")
    return int(faults > 0)


def _in_process(name: str, seconds: float, number: int, folder: Path) -> dict:
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(name, seconds, number, folder))
    process.start()
    process.join(seconds + _PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    if (folder / "result.json").is_file():
        return json.loads((folder / "result.json").read_text())
    last = folder / "input"
    kept = [str(keep(name, last.read_bytes()))] if last.is_file() else []
    return {"inputs": 0, "faults": {f"{name}: its process ended with {process.exitcode}": 1}, "kept": kept}


def _alone(name: str, seconds: float, number: int, folder: Path) -> None:
    total = fuzz(name, folder / "files", 1, seed_number=number)  # what it imports does not count
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = fuzz(name, folder / "files", _AT_ONCE, until, number + total.inputs)
        total = Result(total.inputs + found.inputs, total.faults + found.faults, {*total.kept, *found.kept})
    content = {"inputs": total.inputs, "faults": dict(total.faults), "kept": sorted(map(str, total.kept))}
    (folder / "result.json").write_text(json.dumps(content))


if __name__ == "__main__":
    sys.exit(main())
