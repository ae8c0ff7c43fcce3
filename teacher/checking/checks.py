"""The checks of a teacher, each a line that says PASS, WARN or FAIL."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from teacher.models.cost import memory_limit_mb, multiply_adds, step_cost
from teacher.training.trainer import quiet_lightning
from teacher.vae_training.losses import LossWeights, loss_terms, total_loss

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
FULL = 0.9  # of the memory: more is a warning
SEED = 0  # of the random crops


def check_encoder(module: LightningModule, image_px: int) -> str:
    """Maps and latents of two different crops: finite, and not the same."""
    model, images = module.model.eval(), random_images(2, image_px, module.device)
    with torch.no_grad():
        maps = model.feature_maps(images)
        mu, _ = model.encoder.latent(maps["feat3"])
    shapes = ", ".join(f"{name} {'x'.join(map(str, values.shape[1:]))}" for name, values in maps.items())
    if not all(values.isfinite().all() for values in (*maps.values(), mu)):
        return _verdict(FAIL, "encoder", f"its maps or latents are not finite ({shapes})")
    if (mu[0] - mu[1]).abs().max() < 1e-4:
        return _verdict(WARN, "encoder", f"two different crops have the same latent ({shapes})")
    giga = multiply_adds(lambda: model.feature_maps(images[:1])) / 1e9
    return _verdict(PASS, "encoder", f"latent {mu.shape[1]}, {shapes}; {giga:.3g} G multiply-adds a crop")


def check_reconstruction(module: LightningModule, image_px: int) -> str:
    """A reconstruction of the right size and range."""
    images = random_images(2, image_px, module.device)
    with torch.no_grad():
        reconstruction = module.model.eval()(images)[0]
    if reconstruction.shape != images.shape:
        shapes = f"{tuple(reconstruction.shape)} from {tuple(images.shape)}"
        return _verdict(FAIL, "model", f"reconstructs {shapes}")
    if not reconstruction.isfinite().all() or reconstruction.abs().max() > 1:
        return _verdict(FAIL, "model", "its reconstructions are not within -1..1")
    return _verdict(PASS, "model", f"reconstructs {image_px} px")


def check_step(module: LightningModule, image_px: int) -> str:
    """One step of a Trainer and a validation: a finite loss, and a gradient for all that trains."""
    quiet_lightning()
    trainer = Trainer(fast_dev_run=1, enable_progress_bar=False, enable_model_summary=False)
    ears = DataLoader(RandomEars(4, image_px), batch_size=4)
    # Looked at as they arrive: Lightning throws gradients away before it validates.
    learning: set[int] = set()
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    hooks = [p.register_post_accumulate_grad_hook(lambda p: learning.add(id(p))) for p in trained.values()]
    trainer.fit(module.train(), ears, ears)
    for hook in hooks:
        hook.remove()
    loss = float(trainer.callback_metrics["train/loss"])
    if loss != loss or abs(loss) == float("inf"):
        return _verdict(FAIL, "step", f"the loss is {loss}")
    idle = [name for name, p in trained.items() if id(p) not in learning]
    if idle:
        return _verdict(WARN, "step", f"loss {loss:.3f}; no gradient for {len(idle)}, such as {idle[0]}")
    return _verdict(PASS, "step", f"loss {loss:.3f}, gradients for all that trains")


def check_batches(
    module: LightningModule, image_px: int, batch_sizes: tuple[int, ...], device: torch.device
) -> tuple[list[str], list[dict[str, float]]]:
    """Speed and memory of training steps, a line a batch size; ends at the first that does not fit.

    Returns the verdicts, and the costs of those that fit (`teacher.models.cost.StepCost`).
    """
    module.to(device).train()
    limit, verdicts, costs = memory_limit_mb(device), [], []
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-6)
    for batch_size in sorted(batch_sizes):
        line, expected = f"batch {batch_size}", _expected_mb(costs, batch_size)
        if expected > limit:
            verdicts.append(_verdict(WARN, line, f"would need {expected:,.0f} of {limit:,.0f} MB"))
            break
        images = random_images(batch_size, image_px, device)
        try:
            cost = step_cost(partial(_train_on, module, optimizer, images), batch_size, device)
        except torch.OutOfMemoryError:
            verdicts.append(_verdict(WARN, line, f"does not fit into {limit:,.0f} MB"))
            break
        costs.append(asdict(cost))
        verdict = WARN if cost.peak_mb > FULL * limit else PASS
        shown = f"{cost.images_per_s:.2f} images/s, {cost.peak_mb:,.0f} of {limit:,.0f} MB"
        verdicts.append(_verdict(verdict, line, shown))
    if costs:
        print(f"the largest batch tried that fits: {costs[-1]['batch_size']}")
    else:
        verdicts.append(_verdict(FAIL, "batches", "not even the smallest fits"))
    return verdicts, costs


def random_images(count: int, side_px: int, device: torch.device) -> torch.Tensor:
    """(count, 3, S, S) in [-1, 1], coarse random patterns, always the same."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(SEED)) * 2 - 1
    return F.interpolate(coarse, size=(side_px,) * 2, mode="bilinear").to(device)


class RandomEars:
    """Items as `data.dataset.EarCrops` gives them, of random patterns."""

    def __init__(self, ears: int, side_px: int) -> None:
        pixels = (random_images(ears, side_px, torch.device("cpu")) + 1) * 127.5
        self._pixels = pixels.to(torch.uint8)

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.view(index)

    def view(self, index: int) -> dict[str, Any]:
        """The same picture as the view before and after photometry."""
        return {"image": self._pixels[index], "target": self._pixels[index], "index": index}


def _expected_mb(costs: list[dict[str, float]], batch_size: int) -> float:
    """Peak memory of a batch by the line through the last two: a CPU's process is killed without a word."""
    if len(costs) < 2:
        return costs[-1]["peak_mb"] if costs else 0.0
    before, last = costs[-2:]
    slope = (last["peak_mb"] - before["peak_mb"]) / (last["batch_size"] - before["batch_size"])
    return last["peak_mb"] + slope * (batch_size - last["batch_size"])


def _train_on(module: LightningModule, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> None:
    """A step without Lightning, on the same terms for every teacher: those that need no VGG16 and no KL."""
    weights = LossWeights(perceptual=0, kl=0)  # the margin teacher's log-variance is minus infinity
    reconstruction, mu, logvar = module.model(images)
    total_loss(loss_terms(reconstruction, images, mu, logvar, weights), weights).backward()
    optimizer.step()
    optimizer.zero_grad()


def _verdict(verdict: str, what: str, text: str) -> str:
    print(f"{verdict}  {what:9} {text}", flush=True)
    return verdict
