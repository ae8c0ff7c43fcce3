"""Check a teacher before a long training: `python -m teacher.check --backbone NAME`.

Encoder, whole model and one Lightning step on random crops, then speed and memory at growing batch sizes;
each line is PASS, WARN or FAIL, and a FAIL ends the command with an error. The perceptual term, which needs
VGG16, is left out. `--list` prints every name that --backbone takes. With --output-dir also `metrics.json`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import run_command
from configs.errors import UserError
from teacher.models.backbones.published import ENSEMBLES, MARGIN, PUBLISHED, STAGED

if TYPE_CHECKING:
    import torch
    from pytorch_lightning import LightningModule

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
FULL = 0.9  # of the memory: more is a warning


@dataclass
class Config:
    """Whether a teacher is sound and what it costs, in a minute."""

    list: bool = False
    """Print every name that --backbone takes, and stop."""
    backbone: str = "sam"
    """The teacher: a backbone of teacher.train, or margin."""
    pretrained: bool = True
    """With published weights."""
    weights: str = ""
    """Other weights, as teacher.train takes them."""
    backbone_options: dict[str, Any] = field(default_factory=dict)
    """Options of the backbone."""
    freeze_layers: int | None = None
    """Backbone blocks that are not trained."""
    latent_dim: int = 1024
    """Dimensions of the latent (of margin: of the embedding)."""
    image_size: int = 128
    """Side of the crops, px; of margin a multiple of 32."""
    feature_channels: int = 512
    """Width of the three stages behind the backbone."""
    decoder: str = "transposed"
    """The decoder."""
    decoder_channels: tuple[int, ...] = (512, 512, 256, 128, 64, 32)
    """Its channels from the coarsest grid on."""
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Tried one after the other."""
    output_dir: Path | None = None
    """Where metrics.json is written."""
    seed: int = 0
    """Of the weights and the random crops."""


def main(config: Config) -> Path | None:
    """Check and print. Raises UserError when a check fails, and for settings that make no sense."""
    if config.list:
        print("\n".join(f"{name:18} {what}" for name, what in names().items()))
        return None
    import torch

    from teacher.embed import best_device
    from teacher.models.cost import parameter_counts

    torch.manual_seed(config.seed)
    device = best_device()
    module = _module(config).to(device)
    counts = parameter_counts(module.model)
    print(f"{config.backbone} on {device}: " + ", ".join(f"{n:,} {word}" for word, n in counts.items()))
    verdicts = [_encoder(module, config), _whole(module, config), _lightning_step(module, config)]
    costs: list[dict[str, float]] = []
    if FAIL not in verdicts:
        verdicts += _batches(module, config, device, costs)
    if config.output_dir is not None:
        from configs.files import write_json
        from configs.provenance import write_provenance

        write_provenance(config.output_dir, config)
        write_json(config.output_dir / "metrics.json", {"parameters": counts, "batches": costs})
    if FAIL in verdicts:
        raise UserError(f"{verdicts.count(FAIL)} of {len(verdicts)} checks failed for {config.backbone}")
    return config.output_dir


def names() -> dict[str, str]:
    """Every name that --backbone takes, and what it is."""
    listed = {name: published.repository for name, published in PUBLISHED.items()}
    several = {
        name: " + ".join(members) or "two or more of those above" for name, members in ENSEMBLES.items()
    }
    own = {STAGED: "a cheap one first, then SAM", MARGIN: "python -m teacher.margin"}
    return {**listed, **several, **own}


def _module(config: Config) -> LightningModule:
    """The teacher with what trains it. Of a staged one the second stage, the larger."""
    if config.backbone == STAGED:
        from configs.build import build
        from teacher.vae_training.staged import Stages

        stages = build(Stages, config.backbone_options, "--backbone-options")
        return _module(replace(config, backbone=stages.then, backbone_options=stages.then_options))
    if config.backbone == MARGIN:
        from teacher.margin.module import EarTeacherLightningModule

        return EarTeacherLightningModule(
            embedding_dim=config.latent_dim,
            image_size=config.image_size,
            pretrained=config.pretrained,
            pretrained_path=config.weights or None,
            backbone_options=config.backbone_options,
            decoder_channels=config.decoder_channels,
            num_collage_samples=0,
        )
    from teacher.models.encoders import frozen_layers
    from teacher.models.vae import EarVAE
    from teacher.vae_training.losses import LossWeights
    from teacher.vae_training.module import EarVAEModule

    model = EarVAE(
        latent_dim=config.latent_dim,
        image_size=config.image_size,
        backbone=config.backbone,
        freeze_layers=frozen_layers(config.freeze_layers, config.pretrained),
        pretrained=config.pretrained,
        weights=config.weights or None,
        backbone_options=config.backbone_options,
        feature_channels=config.feature_channels,
        decoder=config.decoder,
        decoder_channels=config.decoder_channels,
    )
    return EarVAEModule(model, LossWeights(perceptual=0), lr=1e-4)


def _encoder(module: LightningModule, config: Config) -> str:
    """Maps and latents of two different crops: finite, and not the same."""
    import torch

    from teacher.models.cost import multiply_adds

    model, images = module.model.eval(), _images(config, 2, module.device)
    with torch.no_grad():
        maps = model.feature_maps(images)
        mu, _ = model.encoder.latent(maps["feat3"])
    shapes = ", ".join(f"{name} {'x'.join(map(str, values.shape[1:]))}" for name, values in maps.items())
    if not all(values.isfinite().all() for values in (*maps.values(), mu)):
        return _say(FAIL, "encoder", f"its maps or latents are not finite ({shapes})")
    if (mu[0] - mu[1]).abs().max() < 1e-4:
        return _say(WARN, "encoder", f"two different crops have the same latent ({shapes})")
    giga = multiply_adds(lambda: model.feature_maps(images[:1])) / 1e9
    return _say(PASS, "encoder", f"latent {mu.shape[1]}, {shapes}; {giga:.3g} G multiply-adds a crop")


def _whole(module: LightningModule, config: Config) -> str:
    """A reconstruction of the right size and range."""
    import torch

    images = _images(config, 2, module.device)
    with torch.no_grad():
        reconstruction = module.model.eval()(images)[0]
    if reconstruction.shape != images.shape:
        return _say(FAIL, "model", f"reconstructs {tuple(reconstruction.shape)} from {tuple(images.shape)}")
    if not reconstruction.isfinite().all() or reconstruction.abs().max() > 1:
        return _say(FAIL, "model", "its reconstructions are not within -1..1")
    return _say(PASS, "model", f"reconstructs {config.image_size} px")


def _lightning_step(module: LightningModule, config: Config) -> str:
    """One step of a Trainer and a validation: a finite loss, and a gradient for all that trains."""
    from pytorch_lightning import Trainer
    from torch.utils.data import DataLoader

    from teacher.training.trainer import quiet_lightning

    quiet_lightning()
    trainer = Trainer(fast_dev_run=1, enable_progress_bar=False, enable_model_summary=False)
    ears = DataLoader(_RandomEars(config, ears=4), batch_size=4)
    # Looked at as they arrive: Lightning throws gradients away before it validates.
    learning: set[int] = set()
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    hooks = [p.register_post_accumulate_grad_hook(lambda p: learning.add(id(p))) for p in trained.values()]
    trainer.fit(module.train(), ears, ears)
    for hook in hooks:
        hook.remove()
    loss = float(trainer.callback_metrics["train/loss"])
    if loss != loss or abs(loss) == float("inf"):
        return _say(FAIL, "step", f"the loss is {loss}")
    idle = [name for name, p in trained.items() if id(p) not in learning]
    if idle:
        return _say(WARN, "step", f"loss {loss:.3f}; no gradient for {len(idle)}, such as {idle[0]}")
    return _say(PASS, "step", f"loss {loss:.3f}, gradients for all that trains")


def _batches(module: LightningModule, config: Config, device: torch.device, costs: list) -> list[str]:
    """A line a batch size; `costs` is filled. Ends at the first that does not fit."""
    import torch

    from teacher.models.cost import memory_limit_mb, step_cost

    module.to(device).train()
    limit, verdicts, fits = memory_limit_mb(device), [], 0
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-6)
    for batch_size in sorted(config.batch_sizes):
        expected = _expected_mb(costs, batch_size)
        if expected > limit:
            verdicts.append(
                _say(WARN, f"batch {batch_size}", f"would need {expected:,.0f} of {limit:,.0f} MB")
            )
            break
        images = _images(config, batch_size, device)
        try:
            cost = step_cost(partial(_train_on, module, optimizer, images), batch_size, device)
        except torch.OutOfMemoryError:
            verdicts.append(_say(WARN, f"batch {batch_size}", f"does not fit into {limit:,.0f} MB"))
            break
        costs.append(asdict(cost))
        verdict = WARN if cost.peak_mb > FULL * limit else PASS
        told = f"{cost.images_per_s:.2f} images/s, {cost.peak_mb:,.0f} of {limit:,.0f} MB"
        verdicts.append(_say(verdict, f"batch {batch_size}", told))
        fits = batch_size
    if not fits:
        verdicts.append(_say(FAIL, "batches", "not even the smallest fits"))
    else:
        print(f"the largest batch tried that fits: {fits}")
    return verdicts


def _expected_mb(costs: list[dict[str, float]], batch_size: int) -> float:
    """Peak memory of a batch by the line through the last two; a CPU's process is killed, not told."""
    if len(costs) < 2:
        return costs[-1]["peak_mb"] if costs else 0.0
    before, last = costs[-2:]
    slope = (last["peak_mb"] - before["peak_mb"]) / (last["batch_size"] - before["batch_size"])
    return last["peak_mb"] + slope * (batch_size - last["batch_size"])


def _train_on(module: LightningModule, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> None:
    """A step without Lightning, on the same terms for every teacher: those that need no VGG16 and no KL."""
    from teacher.vae_training.losses import LossWeights, loss_terms, total_loss

    weights = LossWeights(perceptual=0, kl=0)  # the margin teacher's log-variance is minus infinity
    reconstruction, mu, logvar = module.model(images)
    total_loss(loss_terms(reconstruction, images, mu, logvar, weights), weights).backward()
    optimizer.step()
    optimizer.zero_grad()


def _images(config: Config, count: int, device: torch.device) -> torch.Tensor:
    """(count, 3, S, S) in [-1, 1], coarse random patterns."""
    import torch
    import torch.nn.functional as F

    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(config.seed)) * 2 - 1
    return F.interpolate(coarse, size=(config.image_size,) * 2, mode="bilinear").to(device)


class _RandomEars:
    """Items as `data.dataset.EarCrops` gives them, of random patterns."""

    def __init__(self, config: Config, ears: int) -> None:
        import torch

        pixels = (_images(config, ears, torch.device("cpu")) + 1) * 127.5
        self._pixels = pixels.to(torch.uint8)

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.view(index)

    def view(self, index: int) -> dict[str, Any]:
        """The same picture as the view before and after photometry."""
        return {"image": self._pixels[index], "target": self._pixels[index], "index": index}


def _say(verdict: str, what: str, text: str) -> str:
    print(f"{verdict}  {what:9} {text}", flush=True)
    return verdict


if __name__ == "__main__":
    run_command(Config, main)
