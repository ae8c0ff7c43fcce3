"""Every name that --backbone takes."""

from __future__ import annotations

from teacher.models.backbones.published import ENSEMBLES, MARGIN, PUBLISHED, STAGED


def names() -> dict[str, str]:
    """name -> what it is, in words."""
    listed = {name: published.repository or published.package for name, published in PUBLISHED.items()}
    several = {
        name: " + ".join(members) or "two or more of those above" for name, members in ENSEMBLES.items()
    }
    own = {STAGED: "a cheap one first, then SAM", MARGIN: "python -m teacher.margin"}
    return {**listed, **several, **own}
