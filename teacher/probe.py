"""What a teacher's maps know of landmarks: `python -m teacher.probe --checkpoint ... --npy ...`.

Writes `metrics.json`: the error of a linear reader on each frozen map
(`teacher.vae_training.landmark_probe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.files import write_json
from configs.groups import Gone, Ignored
from configs.provenance import write_provenance
from data.manifest import read_manifest

SEED = 0  # of the choice of ears and of the readers' training, the same for all teachers


@dataclass(frozen=True)
class Config:
    """NME of a linear landmark reader on each frozen map of a trained teacher."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    npy: Path
    """Manifest of labelled ears; the readers learn from half of their sources and are measured on
    the others.
    """
    output_dir: Path = Path("runs/probe")
    """Where metrics.json is written."""
    ears: int = 600
    """At most so many ears of the manifest are used; 0: all."""

    GONE: ClassVar[Mapping[str, Gone]] = {"seed": Ignored("one seed for all teachers, so that they compare")}


def main(config: Config) -> Path:
    """Probe and print; returns the output folder. Raises UserError for a manifest without landmarks."""
    from teacher.checkpoint import require_margin
    from teacher.models.teachers import load_teacher
    from teacher.vae_training.landmark_probe import ProbeEars, probe

    manifest = read_manifest(config.npy)
    ears = ProbeEars.of(manifest, config.npy, config.ears, SEED)
    model = load_teacher(config.checkpoint)
    require_margin(manifest.crops, model.crops, f"{config.npy}", f"{config.checkpoint}")
    errors = probe(model, ears.at(model.hparams["image_size"]), SEED)
    write_provenance(config.output_dir, config)
    write_json(config.output_dir / "metrics.json", {"nme": errors, "ears": len(ears.manifest)})
    width = max(map(len, errors))
    print("\n".join(f"{name:{width}}  NME {error:.4f}" for name, error in errors.items()))
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
