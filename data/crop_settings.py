"""How the ears of a data set are cut out, and what their points are: one value that all stages of a run
share.

It enters with `data.prepare --margin --scheme` and stands in every manifest; maps, checkpoints and ONNX files
carry it on. A stage takes it from what it is given and refuses to mix two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.errors import UserError, shown
from configs.reading.coercion import coerce
from data.crops import MARGIN
from data.landmarks import Scheme, load_scheme

LARGEST_MARGIN = 1.0  # an ear of a third of its crop's side: beyond, too few of its pixels are left


@dataclass(frozen=True)
class CropSettings:
    """margin: border round the box on each side, a fraction of its longer side. scheme: what the points are.

    Raises UserError for a margin below 0 or above LARGEST_MARGIN.
    """

    margin: float = MARGIN
    scheme: Scheme = field(default_factory=load_scheme)

    def __post_init__(self) -> None:
        """Check the margin."""
        if not 0 <= self.margin <= LARGEST_MARGIN:
            raise UserError(f"margin={self.margin}: a number from 0 to {LARGEST_MARGIN:g} is needed.")

    @property
    def num_landmarks(self) -> int:
        """Points an ear."""
        return len(self.scheme)

    def to_plain(self) -> dict[str, Any] | None:
        """Plain values for a file; None for the project's own settings, which need no word."""
        if self == CropSettings():
            return None
        return {"margin": self.margin, "scheme": self.scheme.to_plain()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any] | None, where: str) -> CropSettings:
        """The way back. where: the file, for errors. Raises UserError for values that are no settings."""
        if values is None:
            return cls()
        if not isinstance(values, Mapping) or not isinstance(values.get("margin"), int | float):
            raise UserError(f"{where}: its crop settings have no margin, found {shown(values)}.")
        return cls(
            coerce(values["margin"], float, where, "margin"), Scheme.from_plain(values.get("scheme"), where)
        )

    def require_same(self, other: CropSettings, here: str, there: str) -> None:
        """Raise UserError unless both are equal. here, there: what has these settings, and `other`."""
        if self.margin != other.margin:
            raise UserError(
                f"{here} is of crops with a margin of {self.margin:g}, {there} of {other.margin:g}: one run "
                "cuts its ears in one way. Prepare the data with one --margin (data.prepare) and make "
                "the rest again from it."
            )
        if self.scheme != other.scheme:
            raise UserError(
                f"{here} has {_shown(self.scheme)}, {there} has {_shown(other.scheme)}: one run has one set "
                "of points. Prepare the data with one --scheme (data.prepare)."
            )


def _shown(scheme: Scheme) -> str:
    names = ", ".join(scheme.names[:3])
    return f"{len(scheme)} points ({names}{', ...' if len(scheme) > 3 else ''}; mirrored {scheme.flip})"
