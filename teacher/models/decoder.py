"""The decoders: from a latent back to a crop. `DECODERS` names them for recipes."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from configs.errors import UserError
from teacher.models.encoder import ResidualBlock

START_CELLS = 4


class Decoder(nn.Module):
    """A linear layer to a small grid, then stages that double the grid, then RGB through tanh.

    `stages` and `to_rgb` are made by the subclass. Maps after a stage are named by their side in cells.
    """

    def __init__(self, latent_dim: int, start_channels: int, start_cells: int = START_CELLS) -> None:
        super().__init__()
        self.start = (start_channels, start_cells, start_cells)
        self.from_latent = nn.Linear(latent_dim, start_channels * start_cells**2)
        self.stages = nn.ModuleList()
        self.to_rgb: nn.Module = nn.Identity()

    def features(self, latents: Tensor) -> dict[str, Tensor]:
        """latents: (B, latent_dim). Returns maps `dec8`, `dec16`, ...: (B, C, 8, 8), (B, C, 16, 16), ..."""
        cells = self.from_latent(latents).unflatten(1, self.start)
        maps = {}
        for stage in self.stages:
            cells = stage(cells)
            maps[f"dec{cells.shape[-1]}"] = cells
        return maps

    def forward(self, latents: Tensor) -> Tensor:
        """latents: (B, latent_dim). Returns images (B, 3, H, H) in [-1, 1]."""
        *_, finest = self.features(latents).values()
        return self.to_rgb(finest).tanh()


class TransposedDecoder(Decoder):
    """The design's decoder: residual block, then a 4x4 stride-2 transposed convolution, at every step.

    channels: of each grid from 4x4 on, and last those of the full-resolution map, which has no
    residual block before it. (512, 512, 256, 128, 64, 32) gives 128 px and 26,300,419 parameters.
    """

    def __init__(self, latent_dim: int, image_size: int, channels: Sequence[int]) -> None:
        super().__init__(latent_dim, channels[0])
        _check_steps(image_size, channels, steps=len(channels) - 1)
        last = len(channels) - 2
        self.stages = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(wide) if step < last else nn.Identity(),
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            )
            for step, (wide, narrow) in enumerate(zip(channels, channels[1:], strict=False))
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)


class ResidualDecoder(Decoder):
    """Nearest upsampling, group norm and SiLU residual blocks; the last doubling is a pixel shuffle.

    It learns much faster than transposed convolutions, and keeps no wide map at full resolution
    (sub-pixel convolution: Shi et al., CVPR 2016).
    channels: of each grid from 4x4 up to half the image; (256, 192, 128, 64, 32) gives 128 px.
    """

    def __init__(self, latent_dim: int, image_size: int, channels: Sequence[int]) -> None:
        super().__init__(latent_dim, channels[0])
        _check_steps(image_size, channels, steps=len(channels))
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(wide, narrow, 3, padding=1),
                _PreActivationBlock(narrow),
            )
            for wide, narrow in zip(channels, channels[1:], strict=False)
        )
        self.to_rgb = nn.Sequential(
            nn.SiLU(), nn.Conv2d(channels[-1], 3 * 4, 3, padding=1), nn.PixelShuffle(2)
        )


class _PreActivationBlock(nn.Module):
    """Norm, SiLU, convolution, twice, around an identity (He et al., ECCV 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = max(1, channels // 16)
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(features)))
        return features + self.conv2(F.silu(self.norm2(hidden)))


DECODERS = {"transposed": TransposedDecoder, "residual": ResidualDecoder}


def _check_steps(image_size: int, channels: Sequence[int], steps: int) -> None:
    if START_CELLS * 2**steps != image_size:
        raise UserError(
            f"decoder_channels {tuple(channels)} end at {START_CELLS * 2**steps} px, "
            f"image_size is {image_size}; each further entry doubles the side"
        )
