"""Check a teacher before a long training: `python -m teacher.check --backbone NAME`.

Encoder, whole model and one Lightning step on random crops, then speed and memory at growing batch sizes;
each line is PASS, WARN or FAIL, and a FAIL ends the command with an error. The perceptual term, which needs
VGG16, is left out. `--list` prints every name that --backbone takes. With --output-dir also `metrics.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json
from configs.groups import Flat, Gone, Ignored, Renamed
from configs.provenance import write_provenance
from teacher.models.backbones.names import names
from teacher.vae_training.options import BackboneOptions, VaeSizes

SEED = 0  # of the weights
SIZES = ("latent_dim", "image_size", "feature_channels", "decoder", "decoder_channels")


@dataclass(frozen=True)
class Config:
    """Whether a teacher is sound and what it costs, in a minute."""

    list: bool = False
    """Print every name that --backbone takes, and stop."""
    model: VaeSizes = field(default_factory=VaeSizes)
    """Its sizes, as teacher.train takes them, in one mapping; of the backbone margin (teacher.margin),
    latent_dim is that of the embedding.
    """
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Tried one after the other."""
    output_dir: Path | None = None
    """Where metrics.json is written."""
    encoder: Flat[BackboneOptions] = field(default_factory=BackboneOptions)
    """Backbone of the encoder, or the name margin"""

    GONE: ClassVar[Mapping[str, Gone]] = {
        **{name: Renamed(f"model.{name}") for name in SIZES},
        "seed": Ignored("a check says the same of any random weights"),
    }


def main(config: Config) -> Path | None:
    """Check and print. Raises UserError when a check fails, and for settings that make no sense."""
    if config.list:
        print("\n".join(f"{name:18} {what}" for name, what in names().items()))
        return None
    import torch

    from teacher.checking import checks
    from teacher.checking.subject import module_to_check
    from teacher.models.cost import parameter_counts
    from teacher.models.embeddings import best_device

    torch.manual_seed(SEED)
    device, image_px, name = best_device(), config.model.image_size, config.encoder.backbone
    module = module_to_check(config.encoder, config.model).to(device)
    counts = parameter_counts(module.model)
    print(f"{name} on {device}: " + ", ".join(f"{n:,} {word}" for word, n in counts.items()))
    verdicts = [
        check(module, image_px)
        for check in (checks.check_encoder, checks.check_reconstruction, checks.check_step)
    ]
    costs = []
    if checks.FAIL not in verdicts:
        of_batches, costs = checks.check_batches(module, image_px, config.batch_sizes, device)
        verdicts += of_batches
    if config.output_dir is not None:
        write_provenance(config.output_dir, config)
        write_json(config.output_dir / "metrics.json", {"parameters": counts, "batches": costs})
    if checks.FAIL in verdicts:
        raise UserError(f"{verdicts.count(checks.FAIL)} of {len(verdicts)} checks failed for {name}")
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
