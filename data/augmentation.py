"""How strongly crops and frames are augmented: the settings of `data.transforms`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from configs.errors import UserError


@dataclass(frozen=True)
class GeometryConfig:
    """How far a crop is moved; 0 switches a part off."""

    flip: float = 0.5
    """Probability of mirroring left and right."""
    rotate_deg: float = 15.0
    """Largest turn to either side, degrees."""
    shift: float = 0.04
    """Largest shift in x and y, as a fraction of the crop's side."""
    scale: float = 0.10
    """Largest change of size: 0.1 draws a factor of 0.9 to 1.1."""
    box_jitter: float = 0.04
    """How far a detector may miss: the box also moves and grows by up to this fraction of its side."""

    def __post_init__(self) -> None:
        """Raises UserError for values that no picture can have."""
        _refuse_negative(self)
        if self.flip > 1:
            raise UserError(f"geometry: flip is a probability, 0 to 1, found {self.flip}.")
        if self.scale + self.box_jitter >= 0.9:
            raise UserError(
                f"geometry: scale {self.scale} and box_jitter {self.box_jitter} together must be below 0.9."
            )


@dataclass(frozen=True)
class PhotometryConfig:
    """Strength of what changes the look but not the place of things: 0 is off, 1 is what photographs show."""

    light: float = 1.0
    """Brightness, contrast, gamma, hue and saturation."""
    noise: float = 1.0
    """Noise of the sensor."""
    blur: float = 1.0
    """Out of focus, motion, or few pixels scaled up."""
    occlusion: float = 1.0
    """Rectangles of random colour that hide parts."""
    jpeg: float = 1.0
    """Compression."""
    grey: float = 0.0
    """How often colours are taken away, as by an infrared camera: at 1 from one picture in five."""

    def __post_init__(self) -> None:
        """Raises UserError for negative strengths."""
        _refuse_negative(self)


@dataclass(frozen=True)
class FrameConfig:
    """Which views of photographs train the detector: small chips of them, and whole ones.

    Chips are Singh et al.'s (SNIPER, NeurIPS 2018): most of a frame is background that adds nothing.
    """

    flip: float = 0.5
    """Probability of mirroring left and right."""
    chips: float = 0.9
    """Share of the steps that train on chips; the others see whole letterboxes."""
    chip_px: int = 128
    """Side of a chip, a multiple of 32."""
    focus: float = 0.75
    """Share of the views that are laid over an ear, at a size drawn anew; the others lie anywhere."""
    ear_min_px: float = 10.0
    """Smallest longer side to which focus brings an ear."""
    ear_max: float = 0.85
    """Largest, as a part of the view's side."""
    scale_min: float = 0.5
    """Smallest size of the frame, relative to the letterbox, where the view lies anywhere."""
    scale_max: float = 1.5
    """Largest size there; what leaves the view is cut off."""
    shift: float = 0.1
    """Largest shift there as a part of the view, on top of what the scale leaves free."""
    rotate_deg: float = 0.0
    """Largest turn to either side, of every second view, degrees; boxes follow as ellipses do."""
    min_visible: float = 0.3
    """A box of which less than this part remains in view is dropped."""

    def __post_init__(self) -> None:
        """Raises UserError for sizes that make no frame."""
        for name in ("flip", "chips", "focus", "ear_max"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"frame: {name} is a share, 0 to 1, found {getattr(self, name)}.")
        if not 0 < self.scale_min <= self.scale_max:
            raise UserError(
                f"frame: needs 0 < scale_min <= scale_max, found {self.scale_min} and {self.scale_max}."
            )
        if self.chip_px < 32 or self.chip_px % 32:
            raise UserError(f"frame: chip_px is {self.chip_px}, must be a multiple of 32 from 32 on.")
        if not 0 < self.ear_min_px <= self.ear_max * self.chip_px:
            raise UserError(
                f"frame: ear_min_px is {self.ear_min_px}, must be above 0 and at most ear_max * chip_px, "
                f"{self.ear_max * self.chip_px:g}."
            )


def _refuse_negative(config: GeometryConfig | PhotometryConfig) -> None:
    for field in fields(config):
        if not getattr(config, field.name) >= 0:
            name = type(config).__name__.removesuffix("Config").lower()
            raise UserError(
                f"{name}: {field.name} is {getattr(config, field.name)}, must be 0 (off) or above."
            )
