"""Which files are versions of one photograph, by name: what tools add to names is taken off."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

MOST_VERSIONS = 20  # numbered versions without their original; NAME_dark_001 to NAME_dark_500 are photographs

# What labelling tools, augmentations and file managers put behind the name of a photograph.
_ADDED = re.compile(
    r"""(?ix)
    (?: (?: [._-] (?:jpe?g|png|bmp|webp|tiff?|heic|gif) )? \. rf \. [0-9a-z]{6,}  # Roboflow: NAME_jpg.rf.HASH
    | [\s._-]* \( (?P<count>\d{1,4}) \)                                           # NAME (1)
    | [\s._-]+ (?:copy|kopie|copie|copia) (?: [\s._-]* (?: \d{1,3} | \( \d{1,3} \) ) )?  # NAME - Copy (2)
    | [\s._-]+ (?:
          mirror(?:ed)? | (?:h|v)?flip(?:ped)? | flip(?:lr|ud|_?[hvxy]) | (?:horizontal|vertical)_?flip
        | aug(?:mented|mentation)? | rot(?:at(?:ed?|ion))? | bright(?:er|ness)? | dark(?:er)? | contrast
        | gamma | blur(?:red|ry)? | noisy? | noise | gr[ae]y(?:scale)? | sharp(?:en|ened)? | resized?
        | scaled | cropped | compressed | edited | enhanced | equali[sz]ed | jitter(?:ed)? | hue
        | saturation | original | orig
      ) (?P<number> [\s._-]? -? \d{1,4} (?: \. \d{1,3} )? )?                      # NAME_aug_3, NAME-rot90
    ) \Z
    """
)


def photograph_names(paths: Iterable[str]) -> dict[str, str]:
    """path -> its folder and its name without suffix and additions, in lower case.

    Files that have it in common are versions of one photograph. "NAME (2)" is a version of NAME where that is
    there: a file manager numbers different photographs in the same way.
    """
    stems = {path: (str(PurePath(path).parent), PurePath(path).stem.lower()) for path in paths}
    present = set(stems.values())
    versions: Counter[tuple[str, str]] = Counter()
    for folder, stem in stems.values():
        if (found := _ADDED.search(stem, 1)) and found["number"]:
            versions[folder, stem[: found.start()]] += 1

    def original(folder: str, name: str) -> str:
        while found := _ADDED.search(name, 1):
            shorter = name[: found.start()]
            alone = (folder, shorter) not in present
            if alone and (found["count"] or (found["number"] and versions[folder, shorter] > MOST_VERSIONS)):
                break
            name = shorter
        return name

    return {path: f"{folder}/{original(folder, stem)}" for path, (folder, stem) in stems.items()}
