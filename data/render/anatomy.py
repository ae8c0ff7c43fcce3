"""An identity's ear: the anatomical curves as splines, and how strongly each fold is raised.

Coordinates are ear heights: y runs 0 (top of the helix) to about 1 (bottom of the lobe), x runs from the back of
the ear (0) to the face (about 0.6). The template was placed on the mean shape of `landmarks_17.yaml`.
"""

from dataclasses import dataclass

import numpy as np

from data.render.curves import at_fraction, spline

# Where points 0..7 lie along the outer rim (measured on annotated in-the-wild ears), and point 9 on the inner rim.
RIM_FRACTIONS = (0.0, 0.13, 0.24, 0.35, 0.58, 0.74, 0.88, 1.0)
INNER_FRACTIONS = (0.0, 0.42, 1.0)

# Templates in box units, face to the right: x is multiplied by the ear's width afterwards.
_RIM = [(.745, .135), (.68, .065), (.55, .017), (.41, .0), (.29, .018), (.16, .07), (.065, .155), (.01, .27),
        (.012, .39), (.06, .50), (.14, .60), (.24, .70), (.36, .82), (.46, .92), (.60, .985), (.74, .995),
        (.87, .965), (.96, .90)]
_INNER = [(.71, .415), (.755, .36), (.755, .285), (.705, .205), (.61, .135), (.47, .098), (.33, .105), (.215, .165),
          (.155, .265), (.16, .385), (.21, .50), (.29, .615), (.39, .715)]
_ATTACHMENT = [(.96, .90), (1.01, .80), (1.01, .66), (.99, .50), (.95, .36), (.87, .22), (.745, .135)]
_TRAGUS = [(.825, .425), (.795, .455), (.755, .505), (.775, .575), (.825, .655), (.815, .70)]
_ANTITRAGUS = [(.815, .70), (.755, .705), (.70, .665), (.645, .640), (.585, .655)]
_CONCHA = [(.585, .655), (.50, .63), (.425, .56), (.395, .475), (.43, .395), (.52, .345), (.66, .325)]
_CRUS = [(.80, .30), (.785, .36), (.72, .415), (.645, .455), (.575, .475)]
_STEM = [(.57, .735), (.46, .70), (.365, .61), (.315, .51), (.305, .42), (.335, .345)]
_SUPERIOR = [(.335, .345), (.375, .275), (.43, .21), (.49, .155)]
_INFERIOR = [(.335, .345), (.42, .30), (.53, .28), (.68, .28)]
_CANAL = [(.765, .56)]
_LOBE = [(.66, .86)]


@dataclass(frozen=True)
class Anatomy:
    """Curves (N, 2) in ear heights, the 17 landmarks on them (17, 2), and the strength of each fold."""

    curves: dict[str, np.ndarray]
    landmarks: np.ndarray
    folds: dict[str, float]

    @property
    def outline(self) -> np.ndarray:
        """Closed outline of the ear (N, 2): the rim, then back along the attachment to the face."""
        return np.concatenate([self.curves["rim"], self.curves["attachment"][1:-1]])


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A random ear. Everything drawn here belongs to the identity and stays the same in all its photographs."""
    shape = {name: np.array(points, np.float64) for name, points in _TEMPLATES.items()}
    _vary_folds(shape, rng)
    _vary_lobe(shape, rng)
    width = float(np.clip(rng.normal(.64, .06), .5, .8))
    warp = _smooth_warp(rng)
    shape = {name: warp(points) * (width, 1.0) for name, points in shape.items()}
    curves = {name: spline(points) if len(points) > 2 else points for name, points in shape.items()}
    top, bottom = curves["rim"][:, 1].min(), curves["rim"][:, 1].max()
    curves = {name: (curve - (0, top)) / (bottom - top) for name, curve in curves.items()}
    curves["bowl"] = np.concatenate([curves["tragus"], curves["antitragus"][1:], curves["concha"][1:]])
    return Anatomy(curves, _landmarks(curves), _folds(rng))


_TEMPLATES = {"rim": _RIM, "inner": _INNER, "attachment": _ATTACHMENT, "tragus": _TRAGUS, "antitragus": _ANTITRAGUS,
              "concha": _CONCHA, "crus": _CRUS, "stem": _STEM, "superior": _SUPERIOR, "inferior": _INFERIOR,
              "canal": _CANAL, "lobe": _LOBE}


def _landmarks(curves: dict[str, np.ndarray]) -> np.ndarray:
    tragus, antitragus = curves["tragus"], curves["antitragus"]
    return np.concatenate([
        at_fraction(curves["rim"], RIM_FRACTIONS),
        at_fraction(curves["inner"], INNER_FRACTIONS),
        tragus[[0, 20, 50]],        # control points: start, apex, notch
        antitragus[[30]],           # apex
        at_fraction(curves["concha"], [.47, 1.0]),
    ])


def _vary_folds(shape: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Changes the helix width, the tip of the helix, the concha, tragus and antitragus of `shape` in place."""
    helix = rng.uniform(.62, 1.32)
    partners = np.array([(.80, .36), (.80, .36), (.84, .26), (.76, .14), (.60, .025), (.45, .0), (.29, .02), (.14, .08),
                         (.02, .25), (.02, .40), (.09, .53), (.18, .645), (.29, .755)])
    keep = np.array([1, 1, 1, .9, .5, .1, 0, 0, 0, 0, .15, .5, 1])[:, None]
    shape["inner"] += (shape["inner"] - partners) * (helix - 1) * (1 - keep)
    tip = np.clip(rng.normal(0, .022), -.045, .045)
    shape["rim"][4:8] += np.outer([.4, 1, .8, .3], [-tip, -tip * .7])
    shape["inner"][6:9] += np.outer([.7, .8, .3], [-tip, -tip * .7])
    tubercle = max(rng.normal(0, .02), 0)
    shape["inner"][7] += (tubercle, tubercle * .6)
    bowl = rng.normal(1, .09, 2)
    centre = np.array([.66, .50])
    for name in ("concha", "antitragus"):
        fade = np.linspace(0, 1, 5)[:, None] if name == "antitragus" else 1
        shape[name] += (shape[name] - centre) * (bowl - 1) * fade
    for name in ("stem", "superior", "inferior"):
        shape[name] += (shape[name] - centre) * (bowl - 1) * .8
    shape["tragus"][1:4] += np.outer([.5, 1, .6], [rng.normal(0, .018), rng.normal(0, .012)])
    lift = rng.normal(0, .012)
    shape["antitragus"][2:4] += np.outer([.6, 1], [rng.normal(0, .012), lift])
    spread = rng.normal(0, .03)
    shape["superior"] += np.outer([0, .3, .7, 1], [spread, 0])
    shape["crus"][2:] += np.outer([0, .5, 1], [rng.normal(0, .03), rng.normal(0, .012)])


def _vary_lobe(shape: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """A lobe between attached (runs straight into the cheek) and free (hangs below its attachment), in place."""
    free = rng.beta(1.6, 1.3)
    length = rng.normal(0, .03)
    rim = shape["rim"]
    rim[13:17] += np.outer([.4, 1, 1, .7], [0, length + .012 * free])
    rim[16] += (.02 * free, .015 * free)
    rim[17] += (.005, .035 - .075 * free)
    rim[15] += (.0, .01 - .012 * free)
    shape["attachment"][0] = rim[17]
    full = rng.normal(0, .028)
    rim[12:15] += np.outer([.5, 1, .6], [-full, full * .3])


def _smooth_warp(rng: np.random.Generator):
    """A low-frequency random displacement of the plane, so that all curves bend together."""
    frequency = rng.uniform(.5, 1.5, (4, 2)) * rng.choice([-1, 1], (4, 2))
    phase = rng.uniform(0, 2 * np.pi, 4)
    amplitude = rng.normal(0, 1, (4, 2)) * (.0145, .011)

    def warp(points: np.ndarray) -> np.ndarray:
        waves = np.sin(2 * np.pi * points @ frequency.T * .8 + phase)
        return points + waves @ amplitude

    return warp


def _folds(rng: np.random.Generator) -> dict[str, float]:
    """Heights and widths in ear heights."""
    return {
        "helix": rng.uniform(.035, .08), "roll": rng.uniform(.030, .045), "stem": rng.uniform(.02, .068),
        "superior": rng.uniform(.004, .05), "inferior": rng.uniform(.025, .050), "ridge": rng.uniform(.032, .046),
        "bowl": rng.uniform(.09, .145), "crus": rng.uniform(.025, .05), "tragus": rng.uniform(.035, .065),
        "antitragus": rng.uniform(.02, .045), "lobe": rng.uniform(.015, .035), "protrusion": rng.uniform(.10, .45),
        "scapha": rng.uniform(.0, .02),
    }
