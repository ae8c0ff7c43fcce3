"""Where students.predict writes: files below one folder, never over an input and not over earlier results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import UserError
from students.inference.inputs import Input


@dataclass(frozen=True)
class Outputs:
    """predictions.json below `folder`; overlays/NAME_ears.jpg or .mp4 and coco.json where they are wanted."""

    folder: Path
    overlays: bool
    coco: bool

    @property
    def predictions_json(self) -> Path:
        """The predictions of all inputs."""
        return self.folder / "predictions.json"

    @property
    def coco_json(self) -> Path | None:
        """Those of the images in COCO's layout; None where it is not wanted."""
        return self.folder / "coco.json" if self.coco else None

    def overlay(self, source: Input) -> Path | None:
        """The picture or video of an input with its ears drawn; None without overlays."""
        if not self.overlays:
            return None
        suffix = ".jpg" if source.kind == "image" else ".mp4"
        return self.folder / "overlays" / f"{source.name}_ears{suffix}"

    def require_free(self, inputs: Sequence[Input], overwrite: bool) -> None:
        """Raise UserError where a file would land on an input, or, without `overwrite`, among other files."""
        sources = {os.path.realpath(source.where) for source in inputs if not source.endless}
        files = [self.predictions_json, self.coco_json, *(self.overlay(source) for source in inputs)]
        for path in files:
            if path is not None and os.path.realpath(path) in sources:
                raise UserError(f"{path} is itself an input: choose another --output-dir.")
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file: choose another --output-dir.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not overwrite:
            raise UserError(
                f"{self.folder} is not empty: choose another --output-dir, or add --overwrite to replace "
                "earlier results in it."
            )
