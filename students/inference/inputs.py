"""What a user may hand to students.predict: images, folders, videos, cameras, streams."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from configs.errors import UserError
from data.image_kinds.formats import SUFFIXES, VIDEO_SUFFIXES, Kind, kind_of_file
from data.images import files_below

CAMERA_PREFIX = "camera:"
ENDLESS = ("camera", "stream")  # kinds of inputs that end when the user says so
STREAM_SCHEMES = (
    "rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "tcp", "srt", "mms", "mmsh",
)  # fmt: skip
_CAMERA = re.compile(rf"(?:{CAMERA_PREFIX})?(?:/dev/video)?(\d+)")
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True)
class Input:
    """One image, video, camera or stream, and the name of its results below the output folder (unique, no
    suffix).
    """

    kind: Literal["image", "video", "camera", "stream"]
    where: str
    name: str

    @property
    def shown(self) -> str:
        """`where` for messages and records: a stream's password is nobody's business."""
        if self.kind != "stream":
            return self.where
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", self.where)

    @property
    def endless(self) -> bool:
        """Whether it ends when the user says so."""
        return self.kind in ENDLESS


def find_inputs(words: Sequence[str], output_dir: Path) -> list[Input]:
    """Expand what the user gave; folders give their images and videos, except those below `output_dir`.

    Nothing is opened yet but folders, and files whose suffix says nothing, so a missing file shows up later,
    as one input that fails. Raises UserError when there is nothing at all, for a folder without images and
    videos, a pattern that matches nothing, and for what looks like a camera or stream and is none.
    """
    if not words:
        raise UserError(f"No input given: name images, folders, videos, streams or {CAMERA_PREFIX}0.")
    found: dict[str, Input] = {}
    for word in words:
        for kind, where, name in _expand(word, output_dir):
            unique, copies = name, 1
            while unique.lower() in found:  # file systems that ignore case would put both into one file
                copies += 1
                unique = f"{name}-{copies}"
            found[unique.lower()] = Input(kind, where, unique)
    return list(found.values())


def passed_over(words: Sequence[str], output_dir: Path) -> list[Path]:
    """The files of the given folders that are neither images nor videos, sorted."""
    folders = [path for path in map(Path, words) if path.is_dir()]
    return sorted({path for folder in folders for path, kind in _files_of(folder, output_dir) if not kind})


def _expand(word: str, output_dir: Path) -> Iterator[tuple[str, str, str]]:
    path = Path(word)
    if path.is_dir():
        yield from _of_folder(path, output_dir)
    elif path.is_file():
        yield kind_of_file(path) or "image", word, path.stem
    elif url := _URL.match(word):
        yield _of_url(word, url[1].lower())
    elif camera := _CAMERA.fullmatch(word):
        yield "camera", camera[1], f"camera_{camera[1]}"
    elif word.startswith(CAMERA_PREFIX):
        raise UserError(f"{word}: a camera is given by its number, {CAMERA_PREFIX}0 is the first.")
    elif any(sign in word for sign in "*?["):  # a pattern that no shell has expanded
        matches = sorted(match for match in glob.glob(word, recursive=True) if Path(match).is_file())
        if not matches:
            raise UserError(f"{word}: no file matches this pattern.")
        for match in matches:
            yield kind_of_file(Path(match)) or "image", match, Path(match).stem
    else:
        yield ("video" if path.suffix.lower() in VIDEO_SUFFIXES else "image"), word, path.stem


def _of_folder(folder: Path, output_dir: Path) -> Iterator[tuple[str, str, str]]:
    files = _files_of(folder, output_dir)
    usable = [(path, kind) for path, kind in files if kind]
    if not usable:
        raise UserError(
            f"{folder}: no image in this folder and no video, {len(files)} other files; read are "
            f"{' '.join((*SUFFIXES, *VIDEO_SUFFIXES))}."
        )
    for path, kind in usable:
        yield kind, str(path), path.relative_to(folder).with_suffix("").as_posix()


def _files_of(folder: Path, output_dir: Path) -> list[tuple[Path, Kind]]:
    ours = output_dir.absolute()
    files = (path for path in files_below(folder) if not path.absolute().is_relative_to(ours))
    return [(path, kind_of_file(path)) for path in files]


def _of_url(word: str, scheme: str) -> tuple[str, str, str]:
    parts = urlsplit(word)
    if scheme == "file":
        path = Path(unquote(parts.path))
        return kind_of_file(path) or "image", str(path), path.stem
    if scheme not in STREAM_SCHEMES:
        raise UserError(
            f"{word}: streams of {scheme}:// are not read; known are {', '.join(STREAM_SCHEMES)}."
        )
    if Path(parts.path).suffix.lower() in SUFFIXES and scheme in ("http", "https"):
        raise UserError(f"{word}: an image on the web; download it and give the file.")
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{parts.hostname or ''}{parts.path}").strip("_")
    return "stream", word, name or scheme
