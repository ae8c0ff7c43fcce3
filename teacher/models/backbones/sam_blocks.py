"""SAM's transformer blocks from the weights of transformers' layers: equal numbers, without their waste.

Where the grid is no multiple of the window (16 cells, windows of 14) Segment Anything pads before the linear
layers, and at 256 px two thirds of their work is on padding. Here the layers see the real cells; in a padded
cell they would give their bias, which is put there afterwards.

The relative positions are an inner product of the query too, so they enter as further channels: the query
brings its likeness to each row and column, the key says which row and column it is in (Li et al., MViTv2,
CVPR 2022, eq. 4, regrouped). No (cells x cells) bias is built, which for 1024 px is 0.8 GB an image and
block, and fused attention works where gradients are needed: it takes no bias that needs one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# On a CPU and up to so many cells two products are faster than the fused kernel; beyond, memory decides.
PLAIN_ATTENTION_CELLS = 1024
FUSED_CHANNEL_MULTIPLE = 8  # what fused kernels on GPUs ask of a head's channels


def run_block(layer: nn.Module, tokens: Tensor) -> Tensor:
    """What `layer` (a SamVisionLayer of transformers) makes of tokens (B, h, w, C), to rounding."""
    tokens = tokens + _attended(layer.attn, layer.layer_norm1(tokens), layer.window_size)
    return tokens + layer.mlp(layer.layer_norm2(tokens))


def _attended(attention: nn.Module, tokens: Tensor, window: int) -> Tensor:
    """(B, h, w, C) -> the same. window: cells a side that see each other; 0 for all."""
    height, width = tokens.shape[1:3]
    if window and (height % window or width % window):
        bias = attention.qkv.bias
        qkv = _padded(F.linear(tokens, attention.qkv.weight), window)
        qkv = qkv + bias.to(qkv.dtype)
    else:
        qkv = attention.qkv(tokens)
    padded = qkv.shape[1:3]
    windows = _windows(qkv, window) if window else qkv
    mixed = _attention(windows, attention)
    if window:
        mixed = _joined(mixed, *padded)[:, :height, :width]
    return attention.proj(mixed)


def _attention(qkv: Tensor, attention: nn.Module) -> Tensor:
    """qkv: (N, h, w, 3 * heads * d), each of N by itself. Returns (N, h, w, heads * d)."""
    count, height, width, _ = qkv.shape
    heads = attention.num_attention_heads
    split = qkv.reshape(count, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = split.unbind(0)  # (N, heads, cells, d)
    grid = query.unflatten(2, (height, width))
    by_row = torch.einsum("nahwc,hkc->nahwk", grid, _relative(attention.rel_pos_h, height))
    by_column = torch.einsum("nahwc,wkc->nahwk", grid, _relative(attention.rel_pos_w, width))
    query = torch.cat((query * attention.scale, by_row.flatten(2, 3), by_column.flatten(2, 3)), dim=-1)
    place = _rows_and_columns(height, width, key).expand(count, heads, -1, -1)
    mixed = _softmax_product(query, torch.cat((key, place), dim=-1), value)
    return mixed.transpose(1, 2).reshape(count, height, width, -1)


def _softmax_product(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key^T) value. query, key: (N, heads, cells, e); value: (N, heads, cells, d), d < e."""
    if query.device.type == "cpu" and query.shape[2] <= PLAIN_ATTENTION_CELLS:
        return (query @ key.transpose(-2, -1)).softmax(-1) @ value
    channels = query.shape[-1]
    room = -channels % FUSED_CHANNEL_MULTIPLE
    query, key = F.pad(query, (0, room)), F.pad(key, (0, room))
    filled = F.pad(value, (0, query.shape[-1] - value.shape[-1]))  # fused kernels want one width
    return F.scaled_dot_product_attention(query, key, filled, scale=1.0)[..., : value.shape[-1]]


def _relative(table: Tensor, cells: int) -> Tensor:
    """(2 * cells - 1, d), by distance -> (cells, cells, d), by place of query and key."""
    place = torch.arange(cells, device=table.device)
    return table[place[:, None] - place[None, :] + cells - 1]


def _rows_and_columns(height: int, width: int, like: Tensor) -> Tensor:
    """(height * width, height + width): for each cell a 1 at its row and one at its column."""
    rows = torch.eye(height, dtype=like.dtype, device=like.device).repeat_interleave(width, dim=0)
    columns = torch.eye(width, dtype=like.dtype, device=like.device).repeat(height, 1)
    return torch.cat((rows, columns), dim=1)


def _padded(cells: Tensor, window: int) -> Tensor:
    height, width = cells.shape[1:3]
    return F.pad(cells, (0, 0, 0, -width % window, 0, -height % window))


def _windows(cells: Tensor, window: int) -> Tensor:
    """(B, h, w, C) -> (B * windows, window, window, C)."""
    split = cells.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return split.transpose(2, 3).flatten(0, 2)


def _joined(windows: Tensor, height: int, width: int) -> Tensor:
    """The way back: (B * windows, window, window, C) -> (B, height, width, C)."""
    window = windows.shape[1]
    split = windows.unflatten(0, (-1, height // window, width // window))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)
