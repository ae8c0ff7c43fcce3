"""Pascal VOC: an `.xml` a picture, as LabelImg writes it; boxes as xmin, ymin, xmax, ymax, taken as edges.

VOC itself counts pixels from 1 and includes the last one; tools write edges, and a pixel is less than a box
is drawn exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import files_of, xml_dialect, xml_elements
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.text import number
from data.manifest import Manifest

EXAMPLE = """<annotation><filename>a.jpg</filename><size><width>640</width><height>480</height></size>
<object><name>ear</name><bndbox><xmin>100</xmin><ymin>80</ymin><xmax>160</xmax><ymax>170</ymax></bndbox></object>
</annotation>"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes of all `.xml` below a folder, or of one. A picture whose file names no object holds no ear."""
    pictures = []
    for file in files_of(path, (".xml",)):
        try:
            if xml_dialect(file) != "voc":
                raise UserError(f"{file}: not Pascal VOC.")
            pictures += [_picture(root, file) for root in xml_elements(file, "annotation")]
        except UserError as error:
            notes.drop_file(file, error)
    folder = path if path.is_dir() else path.parent
    finder = ImageFinder(folder, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, path, options, notes, finder, "voc")


def _picture(root: Any, file: Path) -> Picture:
    try:
        size = number(root.findtext("size/width")), number(root.findtext("size/height"))
    except ValueError:
        size = None
    ears = [_ear(item, f"object {place} of {file}") for place, item in enumerate(root.findall("object"), 1)]
    name = (root.findtext("filename") or "").strip()
    if name and not Path(name).suffix:
        name = ""  # some tools leave the suffix out: the file's own name finds it
    return Picture(name, ears, size=size if size and min(size) > 0 else None, stem=file.stem)


def _ear(item: Any, where: str) -> Ear:
    label = (item.findtext("name") or "").strip()
    try:
        box = [number(item.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        return Ear(label, where, None, fault="bndbox that is not xmin, ymin, xmax, ymax")
    return Ear(label, where, box)
