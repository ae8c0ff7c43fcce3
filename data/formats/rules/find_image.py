"""The picture that an annotation file means by a name, written on any system and by any tool."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from configs.errors import UserError
from data.images import SUFFIXES

# Folders that hold annotations alone: the pictures lie in another folder beside.
_ANNOTATION_FOLDERS = frozenset(
    {"annotations", "annotation", "labels", "xml", "xmls", "json", "jsons", "ann"}
)
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded file


class ImageFinder:
    """Pictures below `image_root`, or else near the annotations as data sets usually lie.

    near: the folder of the annotations; within: the folder of the whole data set, where that is known.
    """

    def __init__(self, near: Path, image_root: Path | None = None, within: Path | None = None) -> None:
        near = near.absolute()
        self._places = (
            [image_root] if image_root else [near, near / "images", near.parent, near.parent / "images"]
        )
        beside = near.parent if near.name.lower() in _ANNOTATION_FOLDERS else near
        self._searched = (image_root or within or beside).absolute()
        self._files: dict[str, list[Path]] | None = None

    def find_all(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Path | UserError]:
        """For each (name, stem): the picture, or why it is none.

        stem: of the picture when the name leads nowhere, "" for none. A name that leads nowhere stays the
        path where it was first looked for; checking the pictures then reports it. A picture that two names
        mean only by their last part is an error for both.
        """
        found: dict[tuple[str, str], Path | UserError] = {}
        loose: dict[str, list[tuple[str, str]]] = {}
        exact = set()
        for key in dict.fromkeys(names):
            path = self._exact(key[0]) if key[0] else None
            if path is not None:
                exact.add(str(path))
                path = self._unless_renamed(path, key[1])
            else:
                path = self._elsewhere(*key)
                if isinstance(path, Path) and os.path.isfile(path):
                    loose.setdefault(str(path), []).append(key)
            found[key] = path
        for path, keys in loose.items():
            if len(keys) > 1 or path in exact:
                for key in keys:
                    found[key] = UserError(f"{path}: several names of the annotations may mean this picture.")
        return found

    def find(self, name: str) -> Path:
        """The picture of one name. Raises UserError where several may be meant."""
        found = self.find_all([(name, "")])[name, ""]
        if isinstance(found, UserError):
            raise found
        return found

    def _exact(self, name: str) -> Path | None:
        for spelling in spellings(name):
            for place in self._places:
                path = Path(os.path.normpath(place / spelling))
                if os.path.isfile(path):  # which says no to a name that no file can have
                    return path
        return None

    def _unless_renamed(self, path: Path, stem: str) -> Path | UserError:
        """The picture that a file names, unless another is named like the file."""
        if not stem or stem == path.stem:
            return path
        named = self._of_stem(stem)
        if not named:
            return path
        return UserError(f"{path}: named by an annotation file that is itself named like {named[0]}.")

    def _of_stem(self, stem: str) -> list[Path]:
        if self._files is None:
            self._files = _files_below(self._searched)
        return [path for suffix in SUFFIXES for path in self._files.get(stem.lower() + suffix, [])]

    def _elsewhere(self, name: str, stem: str) -> Path | UserError:
        """By the end of its path, the longest that is there; else by the stem."""
        first = Path(os.path.normpath(self._places[0] / (spellings(name)[-1] if name else stem)))
        if name and Path(name).is_absolute() and os.path.isdir(Path(name).parent):
            return Path(name)  # the folder is here, the picture is not
        if self._files is None:
            self._files = _files_below(self._searched)
        for spelling in (
            dict.fromkeys([*spellings(name), *map(_without_upload, spellings(name))]) if name else ()
        ):
            parts = PurePosixPath(spelling.lower()).parts
            best = _longest_end(parts, self._files.get(parts[-1], [])) if parts else []
            if len(best) > 1:
                return UserError(
                    f"{first}: no such image, but {len(best)} of that name: {best[0]}, {best[1]}."
                )
            if best:
                return best[0]
        named = self._of_stem(stem) if stem else []
        return named[0] if len(named) == 1 else first


def spellings(name: str) -> list[str]:
    """The paths that a name may mean: as it is; with `/` for Windows' `\\`; without drive, host, query."""
    text = name.strip()
    rooted = []
    if "?d=" in text:  # Label Studio's local files, below a root of its own
        text = unquote(text.split("?d=", 1)[1])
        rooted = ["/" + text.lstrip("/")]
    elif re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", text):
        with contextlib.suppress(ValueError):  # a host in brackets that do not close
            text = unquote(urlsplit(text).path)
    text = text.replace("\\", "/")
    text = re.sub(r"^/?[A-Za-z]:/", "/", text)
    return list(dict.fromkeys([name.strip(), *rooted, text, text.lstrip("/") or text]))


def _without_upload(spelling: str) -> str:
    path = PurePosixPath(spelling)
    return str(path.with_name(_UPLOADED.sub("", path.name, count=1))) if path.name else spelling


def _longest_end(parts: tuple[str, ...], paths: list[Path]) -> list[Path]:
    """Those of the paths that agree with the most of the last parts."""

    def agreeing(path: Path) -> int:
        own = path.as_posix().lower().split("/")
        pairs = zip(reversed(parts), reversed(own))
        return next((n for n, (one, other) in enumerate(pairs) if one != other), len(parts))

    scores = [agreeing(path) for path in paths]
    return [path for path, score in zip(paths, scores, strict=True) if score == max(scores)]


def _files_below(folder: Path) -> dict[str, list[Path]]:
    """name in lower case -> the files of that name, hidden ones left out."""
    found: dict[str, list[Path]] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                found.setdefault(name.lower(), []).append(Path(parent) / name)
    return found
