"""Many inputs for one reader, drawn by hypothesis; each new fault made small and kept."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from tests.fuzz.guard import fault_of
from tests.fuzz.readers import READERS

CORPUS = Path(__file__).parent / "corpus"  # READER/DIGEST.SUFFIX: every input that ever failed
LARGEST_KEPT = 20_000  # bytes; larger ones are named, not kept


@dataclass
class Result:
    """inputs: how many were tried; faults: kind of fault -> how many inputs had it."""

    inputs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    kept: set[Path] = field(default_factory=set)


class _NewFault(AssertionError):
    pass


def fuzz(
    name: str, where: Path, examples: int, until: float = float("inf"), seed_number: int | None = None
) -> Result:
    """Try `examples` inputs of a reader in the folder `where`, or as many as come until `time.monotonic()` is
    `until`. seed_number: None for inputs that are the same every time. New faults are kept in the corpus.
    """
    reader, result, known, smallest = READERS[name], Result(), set(), {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reader.run(reader.valid(), where)  # reads what it should, and imports what it needs
    phases = (Phase.generate,) if seed_number is None else (Phase.generate, Phase.shrink)
    rules = settings(
        max_examples=examples, deadline=None, database=None, phases=phases, derandomize=seed_number is None,
        verbosity=Verbosity.quiet, suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip

    def one(content: bytes) -> None:
        if time.monotonic() > until:
            return
        result.inputs += 1
        (where.parent / "input").write_bytes(content)  # what is left if the process dies
        fault = fault_of(lambda: reader.run(content, where))
        if not fault:
            return
        kind = f"{name}: {kind_of(fault)}"
        result.faults[kind] += 1
        if kind not in known:
            smallest[kind] = content
            raise _NewFault(kind)

    while True:
        test = rules(given(reader.contents())(one))
        test = test if seed_number is None else seed(seed_number + result.inputs)(test)
        try:
            test()
        except (_NewFault, ExceptionGroup):
            known |= smallest.keys()
        else:
            break
    result.kept = {keep(name, content) for content in smallest.values()}
    return result


def kind_of(fault: str) -> str:
    """A fault without what is different in each input."""
    return re.sub(r": .*|[\d,]+ (?=bytes|characters)", "", fault, flags=re.DOTALL)


def keep(name: str, content: bytes) -> Path:
    """Put an input into the corpus, unless it is large; returns where it lies or would."""
    path = CORPUS / name / f"{hashlib.sha256(content).hexdigest()[:10]}{Path(READERS[name].file).suffix}"
    if len(content) <= LARGEST_KEPT:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path
