"""`python -m data.render`: ear photographs and scenes, with manifests and pictures to look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Fixed, Flat, Gone, Renamed
from configs.provenance import write_provenance
from data.render.ear.labelling import Habit
from data.render.orders import PHOTOS_PER_IDENTITY, SPLITS, SizeOptions, plan_orders
from data.render.scene.yaw import YawRange

_COUNTS = ("ears", "val_ears", "test_ears", "scenes", "val_scenes", "test_scenes")


@dataclass(frozen=True)
class Config:
    """Render ears and scenes with exact boxes and landmarks; needs no data and no network."""

    output_dir: Path = Path("runs/demo/data")
    """Folder for images, manifests, grid.png and scenes.png."""
    ears: int = 3000
    """Ear photographs for training."""
    val_ears: int = 300
    """Ear photographs for validation, of other identities."""
    test_ears: int = 300
    """Ear photographs for testing, of yet other identities."""
    scenes: int = 800
    """Scenes with 0 to 3 ears for training the detector."""
    val_scenes: int = 100
    """Scenes for validation."""
    test_scenes: int = 200
    """Scenes for testing."""
    seed: int = 0
    """The same seed gives the same files, whatever the number of workers."""
    num_workers: int = 2
    """Processes that render; 0 renders in the main process."""
    sizes: Flat[SizeOptions] = field(default_factory=SizeOptions)
    """How large the pictures are."""
    yaws: Flat[YawRange] = field(default_factory=YawRange)
    """From which sides ears are seen."""
    habit: Habit = "fractions"
    """Where the points are set: at fixed fractions of the ear's curves, or where its own shape has its
    extremes; a stand-in for the labels of another person."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "workers": Renamed("num_workers"),
        "image_format": Fixed("jpg", "photographs come as JPEG"),
        "jpeg_quality": Fixed(92, "as cameras write it"),
        "photos_per_identity": Fixed(PHOTOS_PER_IDENTITY, "no data set needed another"),
    }

    def __post_init__(self) -> None:
        """Raises UserError for counts that cannot be rendered."""
        limits = {**dict.fromkeys(_COUNTS, 10**7), "seed": 10**6, "num_workers": 256}
        for name, high in limits.items():
            if not 0 <= getattr(self, name) <= high:
                raise UserError(f"{name} is {getattr(self, name)}; give a whole number from 0 to {high}")
        if not any(getattr(self, name) for name in _COUNTS):
            raise UserError("nothing to render: ears and scenes of all splits are 0; give one a number")


def main(config: Config) -> Path:
    """Render everything the config asks for. Returns the output folder."""
    from data.render.files import render_all, write_manifests
    from data.render.overview import write_ear_grid, write_scene_grid

    images_dir = config.output_dir / "images"
    for folder in ("ears", "scenes"):
        (images_dir / folder).mkdir(parents=True, exist_ok=True)
    write_provenance(config.output_dir, config)
    counts = {
        "ear": (config.ears, config.val_ears, config.test_ears),
        "scene": (config.scenes, config.val_scenes, config.test_scenes),
    }
    for kind, of_splits in counts.items():
        orders = [
            order
            for split, count in zip(SPLITS, of_splits, strict=True)
            for order in plan_orders(
                kind, split, count, images_dir, config.sizes, config.yaws, config.habit, config.seed
            )
        ]
        labels = render_all(orders, config.num_workers, f"{kind}s")
        write_manifests(config.output_dir, kind, orders, labels)
        if orders and kind == "ear":
            write_ear_grid(config.output_dir / "grid.png", orders, labels)
        elif orders:
            write_scene_grid(config.output_dir / "scenes.png", orders, labels)
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
