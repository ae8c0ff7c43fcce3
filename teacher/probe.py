"""What a teacher's maps know of landmarks: `python -m teacher.probe --checkpoint ... --npy ...`.

Writes `metrics.json`: the error of a linear reader on each frozen map
(`teacher.vae_training.landmark_probe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.command import run_command


@dataclass
class Config:
    """NME of a linear landmark reader on each frozen map of a trained teacher."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    npy: Path
    """Manifest of labelled ears; half of their sources teach the readers, the others measure them."""
    output_dir: Path = Path("runs/probe")
    """Where metrics.json is written."""
    ears: int = 600
    """At most so many ears of the manifest are used; 0: all."""
    seed: int = 0
    """Of the choice of ears and of the readers' training."""


def main(config: Config) -> Path:
    """Probe and print; returns the output folder. Raises UserError for a manifest without landmarks."""
    from configs.files import write_json
    from configs.provenance import write_provenance
    from data.manifest import read_manifest
    from teacher.checkpoint import load_teacher
    from teacher.vae_training.landmark_probe import ProbeEars, probe

    ears = ProbeEars.of(read_manifest(config.npy), config.npy, config.ears, config.seed)
    model = load_teacher(config.checkpoint)
    errors = probe(model, ears.at(model.hparams["image_size"]), config.seed)
    write_provenance(config.output_dir, config)
    write_json(config.output_dir / "metrics.json", {"nme": errors, "ears": len(ears.manifest)})
    width = max(map(len, errors))
    print("\n".join(f"{name:{width}}  NME {error:.4f}" for name, error in errors.items()))
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
