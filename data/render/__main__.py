"""`python -m data.render`: ear photographs and scenes, with manifests and pictures to look at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.command import run_command
from data.render.scene.framing import TURNED_FROM, USUAL, YAW_LIMIT, Views


@dataclass
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
    photos_per_identity: int = 3
    """Photographs of each ear, in other light and pose."""
    turned: float = USUAL.turned
    """Share of ears seen more from the front than from the side; those are harder to find and to read."""
    image_px: int = 192
    """Side of an ear photograph in pixels, 64 to 1024; the ear takes about half of it."""
    scene_px: tuple[int, int] = (480, 640)
    """Height and width of a scene in pixels, 96 to 4096 each."""
    image_format: Literal["jpg", "png"] = "jpg"
    """File format of the images."""
    jpeg_quality: int = 92
    """Quality of JPEG files, 1 to 100."""
    seed: int = 0
    """The same seed gives the same files, whatever the number of workers."""
    workers: int = 2
    """Processes that render; 0 renders in the main process."""
    yaw_max: float = USUAL.yaw_max
    """Largest yaw of the ears seen more from the front, radians, 0.7 to 1.5: how narrow they get."""


def main(config: Config) -> Path:
    """Render everything the config asks for. Returns the output folder."""
    _check(config)
    from configs.provenance import write_provenance
    from data.render.files import SPLITS, render_all, write_manifests

    for folder in ("ears", "scenes"):
        (config.output_dir / "images" / folder).mkdir(parents=True, exist_ok=True)
    write_provenance(config.output_dir, config)
    for kind in ("ear", "scene"):
        orders = {split: _orders(config, kind, split) for split in SPLITS}
        everything = [order for split in SPLITS for order in orders[split]]
        labels = render_all(everything, config.workers, f"{kind}s")
        start = 0
        for split in SPLITS:
            stop = start + len(orders[split])
            if stop > start:
                write_manifests(config.output_dir, split, kind, orders[split], labels[start:stop])
            start = stop
        if labels:
            _write_pictures(config.output_dir, kind, everything, labels)
    return config.output_dir


def _orders(config: Config, kind: str, split: str) -> list:
    from data.render.files import Order, identity_seed

    count = getattr(config, {"train": "", "val": "val_", "test": "test_"}[split] + f"{kind}s")
    photos = config.photos_per_identity if kind == "ear" else 1
    shape = (config.image_px,) * 2 if kind == "ear" else tuple(config.scene_px)
    orders, views = [], Views(config.turned, config.yaw_max)
    for number in range(count):
        seed = identity_seed(config.seed, split, number // photos)
        name = f"{split}_{number // photos:05d}" + (f"_{number % photos}" if kind == "ear" else "")
        path = config.output_dir / "images" / f"{kind}s" / f"{name}.{config.image_format}"
        source = f"{'identity' if kind == 'ear' else 'scene'}_{split}_{number // photos:05d}"
        photo, quality = number % photos, config.jpeg_quality
        orders.append(Order(kind, split, seed, photo, shape, path, source, quality, views))
    return orders


def _write_pictures(output_dir: Path, kind: str, orders: list, labels: list) -> None:
    import cv2

    from configs.files import write_atomic
    from data.landmarks import load_scheme
    from data.render.pictures import draw_box, draw_landmarks, fit, grid

    tiles, scheme = [], load_scheme()
    for order, label in list(zip(orders, labels))[: 48 if kind == "ear" else 12]:
        image = cv2.imread(str(order.path))[..., ::-1]
        if kind == "scene":
            for index in range(len(label.boxes_xyxy)):
                image = draw_box(image, label.boxes_xyxy[index])
                image = draw_landmarks(image, label.landmarks[index], label.visibility[index], scheme, 1.5)
            image = fit(image, 360, 480)
        elif len(tiles) % 8 == 7:  # the last column shows the labels
            image = draw_landmarks(
                draw_box(image, label.boxes_xyxy[0]), label.landmarks[0], label.visibility[0], scheme
            )
        tiles.append(image)
    sheet = grid(tiles, 8 if kind == "ear" else 3)
    packed = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
    write_atomic(
        output_dir / ("grid.png" if kind == "ear" else "scenes.png"), lambda path: path.write_bytes(packed)
    )


def _check(config: Config) -> None:
    """Raises UserError for counts and sizes that cannot be rendered."""
    from configs.errors import UserError

    limits = {
        "ears": (0, 10**7),
        "val_ears": (0, 10**7),
        "test_ears": (0, 10**7),
        "scenes": (0, 10**7),
        "val_scenes": (0, 10**7),
        "test_scenes": (0, 10**7),
        "photos_per_identity": (1, 1000),
        "image_px": (64, 1024),
        "jpeg_quality": (1, 100),
        "seed": (0, 10**6),
        "workers": (0, 256),
    }
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise UserError(f"{name} is {getattr(config, name)}; give a whole number from {low} to {high}")
    for side in config.scene_px:
        if not 96 <= side <= 4096:
            raise UserError(f"scene_px is {tuple(config.scene_px)}; give height and width from 96 to 4096")
    if not 0 <= config.turned <= 1:
        raise UserError(f"turned is {config.turned}; give a share from 0 to 1")
    if not TURNED_FROM <= config.yaw_max <= YAW_LIMIT:
        raise UserError(f"yaw_max is {config.yaw_max}; give radians from {TURNED_FROM} to {YAW_LIMIT}")
    if not any(getattr(config, name) for name in list(limits)[:6]):
        raise UserError("nothing to render: ears and scenes of all splits are 0; give one of them a number")


if __name__ == "__main__":
    run_command(Config, main)
