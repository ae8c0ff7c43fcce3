"""SAM's blocks without their waste, against transformers' own: maps, gradients, published sizes, other input
sizes.
"""

import pytest
import torch
from transformers import SamVisionConfig, SamVisionModel

from configs.errors import UserError
from teacher.models.backbones import sam_blocks
from teacher.models.backbones.build import build_backbone
from teacher.models.backbones.sam import with_input_size
from tests.test_sam_backbone import original_names, randomise, small

# channels and heads of the published models: heads of 64 (base, large) and 80 (huge)
PUBLISHED = {"base": (768, 12), "large": (1024, 16), "huge": (1280, 16)}


def published(hidden_size, heads, image_px=1024, blocks=2):
    """transformers' model in a published layout but of two blocks, one windowed and one global."""
    config = SamVisionConfig(
        hidden_size=hidden_size, num_attention_heads=heads, num_hidden_layers=blocks, image_size=image_px,
        global_attn_indexes=[blocks - 1], output_channels=32, mlp_ratio=4.0,
    )  # fmt: skip
    model = SamVisionModel(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.5 if "rel_pos" in name else parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model.eval()


def as_pth(model, path):
    """Its weights as Segment Anything publishes them."""
    names = original_names(model)
    torch.save({f"image_encoder.{key}": value for key, value in names.items()}, path)
    return path


def equal_at_1024(model, path):
    ours = build_backbone("sam", pretrained=True, weights=str(path), options={}).eval()
    assert ours.input_size == 1024
    images = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        theirs = model(images * ours._gain + ours._offset).last_hidden_state
        torch.testing.assert_close(ours(images), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("hidden_size", "heads"), [(64, 1), (80, 1)])
@pytest.mark.parametrize("layout", ["folder", "pth"])
def test_at_1024_it_is_transformers_sam(tmp_path, layout, hidden_size, heads):
    model = published(hidden_size, heads)
    if layout == "folder":
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        equal_at_1024(model, tmp_path)
    else:
        equal_at_1024(model, as_pth(model, tmp_path / "sam.pth"))


@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED)
def test_at_1024_it_is_transformers_sam_at_published_widths(tmp_path, size):
    model = published(*PUBLISHED[size])
    equal_at_1024(model, as_pth(model, tmp_path / "sam.pth"))


@pytest.mark.parametrize("plain_cells", [0, 1024], ids=["fused", "plain"])
@pytest.mark.parametrize("image_px", [256, 224, 128], ids=["padded", "whole", "smaller"])
def test_gradients_are_transformers_too(monkeypatch, image_px, plain_cells):
    """Windows of 14: 16 cells are padded to 28, 14 fill one window, 8 are padded to 14."""
    monkeypatch.setattr(sam_blocks, "PLAIN_ATTENTION_CELLS", plain_cells)
    encoder = published(32, 2, image_px).vision_encoder
    cells = image_px // 16
    tokens = torch.randn(2, cells, cells, 32, generator=torch.Generator().manual_seed(2))
    found = {}
    for name, run in (("theirs", lambda layer, x: layer(x)), ("ours", sam_blocks.run_block)):
        encoder.zero_grad()
        given = tokens.clone().requires_grad_()
        hidden = given
        for layer in encoder.layers:
            hidden = run(layer, hidden)
        hidden.square().mean().backward()
        grads = {key: p.grad.clone() for key, p in encoder.layers.named_parameters()}
        found[name] = {"tokens": hidden.detach(), "given": given.grad, **grads}
    for key, wanted in found["theirs"].items():
        torch.testing.assert_close(found["ours"][key], wanted, atol=1e-5, rtol=1e-4)


def test_sixteen_bits_stay_near():
    encoder = published(64, 2, 256).vision_encoder
    tokens = torch.randn(2, 16, 16, 64, generator=torch.Generator().manual_seed(2))
    for layer in encoder.layers:
        with torch.no_grad():
            exact = sam_blocks.run_block(layer, tokens)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                near = sam_blocks.run_block(layer, tokens)
        assert torch.nn.functional.cosine_similarity(near.float(), exact, dim=-1).min() > 0.999


class Counter:
    """How many numbers autograd saves for the backward pass."""

    numbers = 0

    def watching(self):
        return torch.autograd.graph.saved_tensors_hooks(self._count, lambda tensor: tensor)

    def _count(self, tensor):
        self.numbers += tensor.numel()
        return tensor


def test_checkpointing_changes_memory_not_gradients():
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    grads = []
    for checkpointing in (False, True):
        backbone = randomise(small()).train()
        backbone.freeze(1)
        backbone.checkpointing = checkpointing
        saved = Counter()
        with saved.watching():
            loss = backbone(images).square().mean()
        loss.backward()
        held = {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}
        grads.append((saved.numbers, held))
    (whole, plain), (less, recomputed) = grads
    assert less < 0.8 * whole
    assert plain.keys() == recomputed.keys()
    assert all(torch.equal(plain[name], recomputed[name]) for name in plain)


def test_the_frozen_part_and_the_rest_are_the_whole():
    backbone = randomise(small()).eval()
    images = torch.rand(2, 3, 128, 128) * 2 - 1
    whole = backbone(images)
    backbone.freeze(1, positions=True)
    tokens = backbone.begin(images)
    assert not tokens.requires_grad
    assert torch.equal(backbone.finish(tokens), whole)
    backbone.freeze(1)
    assert not backbone.vision_encoder.pos_embed.requires_grad, "once frozen, frozen for good"


def test_the_input_size_is_chosen_once():
    assert with_input_size({}, None) == {"input_size": 256}
    assert with_input_size({"input_size": 64}, None) == {"input_size": 64}
    assert with_input_size({"num_hidden_layers": 2}, 512) == {"num_hidden_layers": 2, "input_size": 512}
    for wrong in (100, 112, 1040):
        with pytest.raises(UserError, match="from 128 to 1024"):
            with_input_size({}, wrong)
    with pytest.raises(UserError, match="give one"):
        with_input_size({"input_size": 64}, 128)
