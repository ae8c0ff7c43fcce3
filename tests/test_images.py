"""Any image file becomes upright 8-bit RGB, or an error that names it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from data.images import find_images, image_size, read_image


def gradient(height: int = 20, width: int = 30) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 8, y * 12, np.full_like(x, 77)], axis=2).astype(np.uint8)


def test_rgb_png_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read, gradient())
    assert read.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path: Path, orientation: int) -> None:
    """Oracle: turn the upright image by hand into what a camera with that tag stores."""
    upright = gradient()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[:2]


def test_transparent_pixels_lie_on_grey(tmp_path: Path) -> None:
    rgba = np.dstack([gradient(), np.zeros((20, 30), np.uint8)])
    rgba[:10, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read[:10], gradient()[:10])
    assert (read[10:] == 114).all()


def test_grey_with_alpha_and_palette(tmp_path: Path) -> None:
    grey = np.full((8, 8), 200, np.uint8)
    Image.fromarray(np.dstack([grey, np.full_like(grey, 255)]), mode=None).save(tmp_path / "la.png")
    assert (read_image(tmp_path / "la.png") == 200).all()
    Image.fromarray(gradient()).quantize(4).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (20, 30, 3)
    Image.fromarray(grey).save(tmp_path / "l.jpg")
    assert read_image(tmp_path / "l.jpg").shape == (8, 8, 3)
    Image.fromarray(gradient()).convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert abs(read_image(tmp_path / "cmyk.jpg").astype(int) - gradient()).mean() < 6


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_is_scaled_to_8(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 32768, 65535]] * 4, dtype=np.uint16)
    path = str(tmp_path / f"grey.{suffix}")
    cv2.imwrite(path, values)
    np.testing.assert_array_equal(read_image(path)[0, :, 1], [0, 1, 128, 255])
    path = str(tmp_path / f"colour.{suffix}")
    cv2.imwrite(path, np.dstack([values, values // 2, values // 4]))
    np.testing.assert_allclose(read_image(path)[0], np.outer([0, 1, 128, 255], [0.25, 0.5, 1]), atol=1)


def test_16_bit_colour_keeps_rgb_order(tmp_path: Path) -> None:
    bgr = np.zeros((4, 4, 3), np.uint16)
    bgr[..., 2] = 65535
    for suffix in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"red.{suffix}"), bgr)
        assert read_image(tmp_path / f"red.{suffix}")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.95])
def test_truncated_files_are_named(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    with pytest.raises(UserError, match=rf"cut\.{suffix}: "):
        read_image(cut)


def test_missing_folder_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jpg: no such image"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(UserError, match=r"text\.jpg: not an image"):
        read_image(tmp_path / "text.jpg")


def test_one_pixel_and_twenty_thousand(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match=r"one\.png: the image is 1 x 1 px, smaller than 2 px"):
        read_image(tmp_path / "one.png")
    Image.new("1", (20_000, 3)).save(tmp_path / "long.png")
    with pytest.raises(UserError, match="20000 x 3 px, larger than 16,384 px"):
        read_image(tmp_path / "long.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(UserError, match=r"huge\.png: has more than 100,000,000 pixels"):
        read_image(tmp_path / "huge.png")
    Image.new("1", (10_001, 10_001)).save(tmp_path / "big.png")
    with pytest.raises(UserError, match=r"10001 x 10001 px, more than 100,000,000 pixels"):
        read_image(tmp_path / "big.png")


def test_images_are_found_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a/1.png", ".hidden/3.png", "a/notes.txt", "a/.4.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)] == ["a/1.png", "b/2.JPG"]
