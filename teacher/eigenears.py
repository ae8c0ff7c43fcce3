"""Eigenears: the directions along which ears vary most, PCA of the teacher's latents.

Writes `pc_1.png` ... (each component walked from -3 to +3 standard deviations), `grid.png`,
`variance.json`, `variance.png` and `latents.npz` (latents, mean, components). After Turk & Pentland's
eigenfaces (1991), in the latent of a VAE rather than in pixels. Of rendered ears it says, too, how much of
each component is anatomy, pose, light and skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_atomic, write_json
from configs.groups import Fixed, Gone, Ignored
from configs.provenance import write_provenance
from data.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from teacher.models.autoencoder import Autoencoder

WALK_SD = np.linspace(-3.0, 3.0, 7)  # how far each component is walked, in standard deviations
LABEL_PX = 18  # height of the strip above a picture that says how far it was walked


@dataclass(frozen=True)
class Config:
    """PCA of the latents of a manifest's ears."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    npy: Path
    """Manifest of the ears whose variation is looked at."""
    output_dir: Path = Path("runs/eigenears")
    """Where everything is written."""
    components: int = 16
    """How many components to draw."""
    factors: Path | None = None
    """Of what these rendered ears were made (data.render's test_factors.npz): prints the share of each
    component's variance that anatomy, pose, light and skin explain."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "steps": Fixed(7, "seven pictures fill a row"),
        "span_sd": Fixed(3.0, "of a Gaussian 99.7 % lie within"),
        "batch_size": Ignored("it changes nothing but the time"),
        "num_workers": Ignored("it changes nothing but the time"),
    }


class Components(NamedTuple):
    """A principal component analysis of N latents of D dimensions, with K components."""

    mean: np.ndarray  # (D,)
    directions: np.ndarray  # (K, D), orthonormal, the strongest first
    deviations: np.ndarray  # (K,), standard deviation along each
    explained: np.ndarray  # (K,), fraction of the total variance


def main(config: Config) -> Path:
    """Embed, analyse and draw; returns the output folder."""
    from data.draw import write_picture
    from teacher.checkpoint import require_margin
    from teacher.models.embeddings import best_device, embed_manifest
    from teacher.models.teachers import load_teacher

    model = load_teacher(config.checkpoint).to(best_device())
    manifest = read_manifest(config.npy)
    require_margin(manifest.crops, model.crops, f"{config.npy}", f"{config.checkpoint}")
    latents = embed_manifest(model, manifest)
    found = principal_components(latents, config.components)
    output_dir = Path(config.output_dir)
    write_provenance(output_dir, config)
    shares = _shares(latents, found, config.factors, manifest)
    rows = []
    for index in range(len(found.directions)):
        rows.append(walk(model, found, index, WALK_SD))
        write_picture(output_dir / f"pc_{index + 1}.png", _labelled_row(rows[-1], WALK_SD))
    write_picture(output_dir / "grid.png", _labelled_grid(rows, WALK_SD, found.explained, shares))
    write_json(output_dir / "variance.json", _variance(found, len(latents), shares))
    write_picture(output_dir / "variance.png", _variance_plot(found.explained))
    content = {
        "image_paths": manifest.image_paths,
        "latents": latents,
        **{name: getattr(found, name).astype(np.float32) for name in Components._fields},
    }
    write_atomic(output_dir / "latents.npz", lambda temporary: np.savez(temporary, **content))
    return output_dir


def principal_components(latents: np.ndarray, count: int) -> Components:
    """The first `count` components of latents (N, D), at most min(N - 1, D), by singular value
    decomposition.

    Each direction is signed so that its largest entry is positive. Raises UserError for fewer than two
    latents or for latents that do not differ.
    """
    if len(latents) < 2:
        raise UserError(f"{len(latents)} ear: at least 2 are needed to see how ears vary")
    mean = latents.mean(axis=0, dtype=np.float64)
    _, strengths, directions = np.linalg.svd(latents - mean, full_matrices=False)
    variances = strengths**2 / (len(latents) - 1)
    if variances.sum() == 0:
        raise UserError("all latents are equal: this teacher does not tell the ears of this manifest apart")
    kept = min(count, len(latents) - 1, latents.shape[1])
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions = directions * np.sign(largest)
    return Components(mean, directions[:kept], np.sqrt(variances[:kept]), variances[:kept] / variances.sum())


def _shares(
    latents: np.ndarray, found: Components, path: Path | None, manifest: Manifest
) -> list[dict[str, float]] | None:
    """What each component means, printed as a table; None without factors."""
    if path is None:
        return None
    from data.render.factors import read_factors
    from teacher.factor_shares import factor_shares

    groups = read_factors(path, manifest).groups
    sources = manifest.image_paths if manifest.sources is None else manifest.sources
    shares = factor_shares((latents - found.mean) @ found.directions.T, groups, sources)
    print(f"component  variance  {'  '.join(f'{name:>7}' for name in shares[0])}")
    for number, (explained, row) in enumerate(zip(found.explained, shares, strict=True), start=1):
        print(f"{number:>9}  {explained:>8.1%}  {'  '.join(f'{share:>7.0%}' for share in row.values())}")
    return shares


def walk(model: Autoencoder, found: Components, index: int, distances: np.ndarray) -> np.ndarray:
    """Pictures (steps, H, W, 3) uint8: the mean ear moved along a component by `distances` standard
    deviations.
    """
    import torch

    from teacher.pictures import to_pixels

    moved = found.mean + distances[:, None] * found.deviations[index] * found.directions[index]
    with torch.inference_mode():
        return to_pixels(model.decode(torch.from_numpy(moved).to(next(model.parameters()))))


def _labelled_row(pictures: np.ndarray, distances: np.ndarray) -> np.ndarray:
    from data.draw import picture_grid

    labels = [_label(f"{distance:+g}" if distance else "mean", pictures.shape[2]) for distance in distances]
    return picture_grid(
        [np.vstack(pair) for pair in zip(labels, pictures, strict=True)], columns=len(pictures), gap_px=2
    )


def _labelled_grid(
    rows: list[np.ndarray],
    distances: np.ndarray,
    explained: np.ndarray,
    shares: list[dict[str, float]] | None,
) -> np.ndarray:
    """All walks under each other, each with its number and its share of the variance on the left, and what
    of the groups of factors explains most of it, where that is known.
    """
    from data.render.factors import largest_share

    bands = []
    for number, (row, share) in enumerate(zip(rows, explained, strict=True), start=1):
        band = _labelled_row(row, distances)
        name = np.full((len(band), 90, 3), 255, np.uint8)
        middle = len(band) // 2
        name[middle - 18 : middle] = _label(f"PC {number}", 90)
        name[middle : middle + 18] = _label(f"{share:.1%}", 90)
        if shares is not None:
            group, explained_by_it = largest_share(shares[number - 1])
            name[middle + 18 : middle + 36] = _label(f"{group} {explained_by_it:.0%}", 90)
        bands.append(np.hstack([name, band]))
    return np.vstack(bands)


def _label(text: str, width_px: int) -> np.ndarray:
    """(LABEL_PX, width_px, 3) uint8: black text in the middle of white."""
    import cv2

    strip = np.full((LABEL_PX, width_px, 3), 255, np.uint8)
    (text_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    place = ((width_px - text_px) // 2, LABEL_PX - 5)
    return cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)


def _variance(found: Components, ears: int, shares: list[dict[str, float]] | None) -> dict:
    meanings = {} if shares is None else {"shares": shares}
    return {
        "ears": ears,
        "explained": [round(float(share), 6) for share in found.explained],
        "cumulative": [round(float(share), 6) for share in found.explained.cumsum()],
        "standard_deviations": [round(float(deviation), 6) for deviation in found.deviations],
        **meanings,
    }


def _variance_plot(explained: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the share of each component and their sum."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), dpi=110, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    numbers = np.arange(1, len(explained) + 1)
    axes.bar(numbers, 100 * explained, label="each")
    axes.plot(numbers, 100 * explained.cumsum(), "o-", color="black", markersize=3, label="together")
    axes.set(xlabel="component", ylabel="variance explained, %", ylim=(0, None), xticks=numbers)
    axes.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


if __name__ == "__main__":
    run_command(Config, main)
