"""The parts of the benchmark: which measurements stand beside each other, and what they have to reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from distill.bench import data, loading, parity, students, teacher
from distill.bench.apart import apart
from distill.bench.scale import REPEATS, SEEDS, Setup
from distill.bench.table import Row
from distill.bench.teacher import Step

IMAGES, MEMORY = "images/s", "MB"


def teacher_step(setup: Setup) -> Iterator[Row]:
    """The usual step at 1024 px against native 256, bf16; checkpointing and the prefix with a larger batch;
    SAM's part of the machine.
    """
    native, often, scale = _native(setup), _often(setup), setup.scale
    usual = replace(native, input_px=1024, bf16=False, plain=True)
    plain = apart(teacher.step_rate, usual, 1, 0.0, scale.slow_warmup)
    live = apart(teacher.step_rate, native, *often)
    step = f"teacher step, native 256, bf16, batch {native.batch_size}"
    yield _faster(step, live, "enlarged to 1024, fp32, transformers", plain, goal=20)
    yield _smaller(step, live, "enlarged to 1024, fp32, transformers", plain, goal=10)
    if scale.variants:
        same_path = apart(teacher.step_rate, replace(native, plain=True), *often)
        yield _faster(step, live, "the same by transformers, optimizer not fused", same_path)
    roomy = replace(native, batch_size=scale.roomy_batch)
    live = apart(teacher.step_rate, roomy, *often)
    if scale.variants:
        thrifty = apart(teacher.step_rate, replace(roomy, checkpointing=True), *often)
        yield _smaller(f"with gradient checkpointing, batch {roomy.batch_size}", thrifty, "native 256", live)
    for frozen in scale.frozen:
        some = replace(roomy, frozen=frozen)
        live = live if frozen == roomy.frozen else apart(teacher.step_rate, some, *often)
        kept = apart(teacher.step_rate, replace(some, prefix=True), *often)
        what = f"with the prefix kept, {frozen} of {roomy.blocks} blocks frozen, batch {roomy.batch_size}"
        yield _faster(what, kept, "native 256 live", live, goal=1.6 if 2 * frozen == roomy.blocks else None)
    sam = apart(teacher.sam_flops, replace(native, batch_size=4), *often)
    share = sam["per_second"] / setup.machine["matmul_bf16_flops"]
    note = f"{sam['step_flops'] / 1e9:,.0f} GFLOP at {sam['per_second'] / 1e9:,.0f} GFLOP/s, batch 4"
    yield Row("SAM's rate over the matrix product's, bf16", "", share, goal=0.4, note=note)


def input_sizes(setup: Setup) -> Iterator[Row]:
    """The step at each input size beside that at 1024."""
    native, often = _native(setup), _often(setup)
    sides = (128, 224, 256, 512, 1024)
    found = {side: apart(teacher.step_rate, replace(native, input_px=side), *often) for side in sides}
    for side in sides[:-1]:
        note = f"{side // 16} x {side // 16} cells, {2048 / side:.3g} px of the crop each"
        step = f"teacher step at {side}, bf16"
        yield replace(_faster(step, found[side], "at 1024, bf16, ours", found[1024]), note=note)


def student_steps(setup: Setup) -> Iterator[Row]:
    """Steps from kept maps against the teacher live in the loop."""
    rendered, scale = _rendered(setup), setup.scale
    blocks, batch_size = scale.blocks, scale.student_batch
    for student, manifest, goal in (("landmarker", "train_labelled", 8), ("detector", "train_frames", 5)):
        npy, maps = rendered / f"{manifest}.npy", setup.folder / f"maps_{student}"
        apart(students.keep_maps, npy, maps, blocks)
        rates = [
            apart(students.step_rate, student, npy, maps, live, batch_size, REPEATS) for live in (0, blocks)
        ]
        what = f"{student} step from kept maps, batch {batch_size}"
        yield _faster(what, rates[0], "SAM base at 256 live, bf16", rates[1], goal=goal)


def loader(setup: Setup) -> Iterator[Row]:
    """Crops decoded once against at every draw; and the loader against the step that it feeds."""
    npy, epochs = _rendered(setup) / "train_teacher.npy", setup.scale.loader_epochs
    anew = apart(loading.loader_rate, npy, False, 2, epochs)
    once = apart(loading.loader_rate, npy, True, 2, epochs)
    step = apart(teacher.step_rate, replace(_native(setup), prefix=True), *_often(setup))
    yield _faster("crops decoded once, two workers", once, "decoded at every draw", anew)
    yield _faster("the same", once, "the teacher's step, prefix kept", step, goal=1)


def manifests(setup: Setup) -> Iterator[Row]:
    """A manifest of a million ears, and the time of a first epoch as ears double."""
    scale = setup.scale
    many, counts = scale.manifest_ears, scale.first_epochs
    apart(loading.write_large_manifest, setup.folder, many)
    opened = apart(loading.open_manifest, setup.folder, many)
    share = many / 1_000_000
    what = f"manifest of {many:,} ears, open"
    yield Row(what, "s", opened["seconds"], goal=5 * share, less_is_better=True)
    yield Row(f"{what}, memory", MEMORY, opened["peak_mb"], goal=1000 * share, less_is_better=True)
    found = {}
    for count in counts:
        ears = _rendered(setup) / "train_teacher.npy"
        npy = setup.folder / f"ears_{count}.npy"
        data.repeated_manifest(ears, npy, count)
        found[count] = apart(loading.first_epoch, npy)
        yield _faster(f"first epoch of {count:,} ears", found[count], f"{counts[0]:,} ears", found[counts[0]])


def rendering(setup: Setup) -> Iterator[Row]:
    """Ears rendered by one core."""
    found = apart(loading.rendering_rate, setup.scale.rendering)
    yield Row("rendered ears of 128 px, one core", IMAGES, found["per_second"], goal=25)


def psnr(setup: Setup) -> Iterator[Row]:
    """PSNR with each saving on top of the ones before it, mean over seeds; less than 0.3 dB may be lost."""
    scale = setup.scale
    apart(data.render, setup.folder / "parity", scale.parity_ears, 4)
    means: dict[str, float] = {}
    for switch in parity.SWITCHES:
        found = []
        for seed in range(SEEDS):
            output = setup.folder / "parity" / f"{switch} {seed}"
            one = apart(parity.psnr, switch, setup.folder / "parity", output, scale.parity_epochs, seed)
            found.append(one["psnr"])
        means[switch] = statistics.mean(found)
        lost = max(means.values()) - means[switch]
        note = "seeds: " + ", ".join(f"{value:.2f}" for value in found)
        yield Row(f"PSNR lost, {switch}", "dB", lost, goal=0.3, less_is_better=True, note=note)


def _rendered(setup: Setup) -> Path:
    """Ears and scenes, rendered for the part that asks first."""
    rendered = setup.folder / "rendered"
    if not rendered.exists():
        apart(data.render, rendered, setup.scale.ears, setup.scale.scenes)
    return rendered


def _native(setup: Setup) -> Step:
    blocks = setup.scale.blocks
    return Step(batch_size=setup.batch_size, blocks=blocks, frozen=blocks // 2)


def _often(setup: Setup) -> tuple[int, float]:
    """How often a teacher's step is repeated, and for how many seconds at least."""
    return REPEATS, setup.scale.seconds


def _faster(what: str, one: dict, against: str, other: dict, goal: float | None = None) -> Row:
    return Row(what, IMAGES, one["per_second"], against, other["per_second"], goal=goal)


def _smaller(what: str, one: dict, against: str, other: dict, goal: float | None = None) -> Row:
    return Row(f"{what}, memory", MEMORY, one["peak_mb"], against, other["peak_mb"], True, goal)


NOT_QUICK = ("sizes", "students", "loader", "parity")
PARTS: dict[str, Callable[..., Iterator[Row]]] = {
    "teacher": teacher_step,
    "sizes": input_sizes,
    "students": student_steps,
    "loader": loader,
    "manifest": manifests,
    "render": rendering,
    "parity": psnr,
}
