"""Images of phones, cameras and scanners: formats by content, levels that are there, what is no image."""

import io
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from data.image_kinds.formats import FORMATS, kind_of_file, pillow_formats
from data.image_kinds.likely_cause import likely_cause
from data.images import find_images, image_size, read_image, read_image_and_notes


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours: every codec keeps them to a few levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3 + 20, y * 4 + 30, 200 - x - y], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.JPG", "JPEG"),
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.mpo", "MPO"),
        ("a.avif", "AVIF"),
        ("a.gif", "GIF"),
        ("a.jp2", "JPEG2000"),
        ("a.qoi", "QOI"),
        ("a.ppm", "PPM"),
        ("no_suffix", "JPEG"),
        ("wrong.dat", "PNG"),
    ],
)
def test_what_phones_write_is_found_and_read(tmp_path: Path, name: str, format_name: str) -> None:
    Image.fromarray(picture()).save(tmp_path / name, format_name)
    assert find_images(tmp_path) == [tmp_path / name]
    read = read_image(tmp_path / name)
    assert abs(read.astype(int) - picture()).mean() < (16 if format_name == "GIF" else 4)
    assert image_size(tmp_path / name) == (48, 64)


def test_heic_is_read_where_its_library_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """turned.heic: `picture()` turned left with EXIF's 6, as libheif's encoder wrote it."""
    assert "HEIF" in pillow_formats()
    path = Path(__file__).parent / "data" / "turned.heic"
    assert abs(read_image(path).astype(int) - picture()).mean() < 3
    assert image_size(path) == (48, 64)
    (tmp_path / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(2000))
    assert kind_of_file(tmp_path / "a.HEIC") == "image"
    with pytest.raises(UserError, match="its HEIC is damaged"):
        read_image(tmp_path / "a.HEIC")
    monkeypatch.setattr("data.images.pi_heif", None)
    monkeypatch.setattr("data.images.pillow_formats", lambda: FORMATS)
    with pytest.raises(UserError, match="HEIC is read with `pip install pi-heif`"):
        read_image(tmp_path / "a.HEIC")


def test_postscript_named_like_an_image_starts_nothing(tmp_path: Path) -> None:
    """Pillow asks Ghostscript for it unless it may not; a `gs` of our own would leave a trace."""
    trace = tmp_path / "trace"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {trace}\n")
    (tmp_path / "gs").chmod(0o755)
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    program = "import sys\nfrom data.images import read_image\nread_image(sys.argv[1])\n"
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert "it is PostScript" in found.stderr
    assert not trace.exists()


@pytest.mark.parametrize(("bits", "suffix"), [(8, "png"), (10, "tif"), (12, "png"), (14, "png"), (16, "png")])
def test_16_bit_grey_is_scaled_by_the_bits_that_it_uses(tmp_path: Path, bits: int, suffix: str) -> None:
    largest = 2**bits - 1
    values = np.array([[0, largest // 2, largest]] * 3, dtype=np.uint16)
    path = tmp_path / f"grey.{suffix}"
    cv2.imwrite(str(path), values)
    read, notes = read_image_and_notes(path)
    np.testing.assert_allclose(read[0, :, 0], [0, 127.5, 255], atol=1)
    assert notes == (
        [] if bits == 16 else [f"its values need {bits} bits of those in the file, scaled by these"]
    )


def test_16_bit_colour_keeps_its_turn_order_and_alpha(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    bgra = np.zeros((4, 6, 4), np.uint16)
    bgra[..., 2], bgra[..., 3] = 4095, 65535
    bgra[0, :, 3] = 0
    cv2.imwrite(str(path), bgra)
    read, notes = read_image_and_notes(path)
    assert read[1, 0].tolist() == [255, 0, 0]
    assert read[0, 0].tolist() == [114, 114, 114]
    assert "12 bits" in notes[0]
    content = path.read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    path.write_bytes(content[:33] + chunk + content[33:])  # behind the header
    turned = read_image(path)
    assert turned.shape == (6, 4, 3)
    assert turned[0, 3].tolist() == [114, 114, 114]
    assert image_size(path) == (6, 4)


@pytest.mark.parametrize("largest", [1.0, 255.0, 4095.0])
def test_floats_are_scaled_by_their_largest(tmp_path: Path, largest: float) -> None:
    path = tmp_path / "float.tif"
    cv2.imwrite(str(path), np.array([[0, largest / 2, largest]] * 3, np.float32))
    np.testing.assert_allclose(read_image(path)[0, :, 0], [0, 127.5, 255], atol=1)
    cv2.imwrite(str(path), np.full((3, 3), -1, np.float32))
    with pytest.raises(UserError, match="must hold numbers from 0 on"):
        read_image(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_without_its_end_mark_is_read_and_said(tmp_path: Path, options: dict) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, **options)
    whole, content = read_image(path), path.read_bytes()
    path.write_bytes(content[:-2])
    read, notes = read_image_and_notes(path)
    np.testing.assert_array_equal(read, whole)
    assert notes == ["the JPEG lacks its end, all of its picture is there"]
    for lost in (12, 40, len(content) // 3):
        path.write_bytes(content[:-lost])
        with pytest.raises(UserError, match="truncated or damaged"):
            read_image(path)


def test_of_several_pages_the_first_is_read_and_said(tmp_path: Path) -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[::-1])
    for suffix in ("tif", "gif", "webp", "png", "mpo"):
        path = tmp_path / f"pages.{suffix}"
        first.save(path, save_all=True, append_images=[second])
        notes = read_image_and_notes(path)[1]
        assert notes == ([] if suffix == "mpo" else ["the first of 2 frames or pages is read"])


def test_why_a_file_is_no_image(tmp_path: Path) -> None:
    contents = {
        b"": "the file is empty",
        b"version https://git-lfs.github.com/spec/v1\n": "Git LFS pointer",
        b"\n<!DOCTYPE html><html>": "an HTML page",
        b"%PDF-1.7": "a PDF",
        bytes(3000): "nothing but zeros",
        b"PK\x03\x04": "a ZIP archive",
        b'{"a": 1}': "JSON",
        b"some text": "of no format that is read",
    }
    for content, cause in contents.items():
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.jpg: .*{cause}"):
            read_image(path)
    assert likely_cause(path) == ""


def test_files_are_told_by_suffix_then_by_content(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG")
    contents = {
        "a": (buffer.getvalue(), "image"),
        "b.xyz": (b"\0\0\0\x18ftypavif", "image"),
        "c.bin": (b"\0\0\0\x20ftypisom", "video"),
        "d": (b"RIFF\0\0\0\0AVI LIST", "video"),
        "e.ts": (b"G" + bytes(187) + b"G" + bytes(187), "video"),
        "f.MTS": (b"", "video"),
        "g.ts": (b"export const a = 1\n", ""),
        "h.txt": (b"words", ""),
        "i.HEIC": (b"", "image"),
    }
    for name, (content, kind) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert kind_of_file(tmp_path / name) == kind, name
    assert [path.name for path in find_images(tmp_path)] == ["a", "b.xyz", "i.HEIC"]
