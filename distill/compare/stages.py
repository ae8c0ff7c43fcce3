"""From a comparison to the stages of an ordinary recipe"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.build import field_types
from distill.compare.options import Comparison
from teacher.margin.options import ModelOptions
from teacher.models.backbones.published import MARGIN
from teacher.vae_training.options import BackboneOptions, VaeSizes

TWIN = "twin"  # the student without a teacher
SHARED_WITH_MARGIN = {"epochs": "max_epochs", "max_minutes": "max_minutes", "batch_size": "batch_size"}
SHARED_WITH_MARGIN |= {name: name for name in ("image_size", "pretrained", "precision", "num_workers")}
CHECKED_AS = {"embedding_dim": "latent_dim", "pretrained_path": "weights"}  # of margin's options


def teacher_stages(comparison: Comparison) -> dict[str, Any]:
    """name -> stage: the ears, each teacher's training, and what is measured of it but its student."""
    stages: dict[str, Any] = {}
    ears = _ears(comparison)
    if comparison.data_dir is None:
        options = {"scenes": 0, "val_scenes": 0, "test_scenes": 0, **comparison.render}
        stages["data"] = {"command": "data.render", "options": options}
    for name in comparison.teachers:
        stages[name] = _training(comparison, name)
        trained = {"checkpoint": f"${{{name}}}/best.ckpt"}
        test = {**trained, "npy": f"{ears}/test_teacher.npy"}
        stages[f"{name}_eval"] = {"command": "teacher.evaluate", "options": test}
        stages[f"{name}_eigenears"] = {"command": "teacher.eigenears", "options": {**test, "components": 8}}
        labelled = {**trained, "npy": f"{ears}/val_labelled.npy"}
        stages[f"{name}_probe"] = {"command": "teacher.probe", "options": labelled}
        stages[f"{name}_cost"] = {"command": "teacher.check", "options": _cost(name, stages[name]["options"])}
    return stages


def student_stages(comparison: Comparison, layers: Mapping[str, str]) -> dict[str, Any]:
    """name -> stage: a student of each teacher from the map that `layers` names, and one without."""
    stages: dict[str, Any] = {}
    ears = _ears(comparison)
    train = {"train_npy": f"{ears}/train_teacher.npy"}
    common = {
        **train,
        "student": "landmarker",
        "labelled_npy": f"{ears}/train_labelled.npy",
        "val_npy": f"{ears}/val_labelled.npy",
        **comparison.student,
    }
    for name, layer in layers.items():
        kept = {**train, "checkpoint": f"${{{name}}}/best.ckpt", "layer": layer, **comparison.maps}
        stages[f"{name}_maps"] = {"command": "distill.cache", "options": kept}
        student = {**common, "maps": f"${{{name}_maps}}"}
        stages[f"{name}_student"] = {"command": "distill.train", "options": student}
    stages[f"{TWIN}_student"] = {"command": "distill.train", "options": {**common, "distill": False}}
    for name in (*layers, TWIN):
        scored = {
            "landmarker": f"${{{name}_student}}/student.pt",
            "ears_npy": f"{ears}/test_labelled.npy",
        }
        stages[f"{name}_score"] = {"command": "students.evaluate", "options": scored}
    return stages


def _training(comparison: Comparison, name: str) -> dict[str, Any]:
    own, ears = comparison.teacher_options.get(name) or {}, _ears(comparison)
    train, val = f"{ears}/train_teacher.npy", f"{ears}/val_teacher.npy"
    if name == MARGIN:
        shared = {
            SHARED_WITH_MARGIN[key]: value
            for key, value in comparison.train.items()
            if key in SHARED_WITH_MARGIN
        }
        options = {"train_metadata": train, "val_metadata": val, **shared, **own}
        return {"command": "teacher.margin", "options": options}
    options = {"train_npy": train, "val_npy": val, "backbone": name, **comparison.train, **own}
    return {"command": "teacher.train", "options": options}


def _cost(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options of teacher.check for the teacher that is trained with `options`, at its batch size."""
    given = {CHECKED_AS.get(key, key): value for key, value in options.items()}
    sizes = {key: value for key, value in given.items() if key in field_types(VaeSizes)}
    of_backbone = {*field_types(BackboneOptions), *BackboneOptions.GONE}
    backbone = {key: value for key, value in given.items() if key in of_backbone}
    if name == MARGIN:
        own = ModelOptions()
        sizes = {
            "latent_dim": own.embedding_dim,
            "image_size": own.image_size,
            "decoder_channels": list(own.decoder_channels),
        } | sizes
    return {**backbone, "backbone": name, "model": sizes, "batch_sizes": [options.get("batch_size", 4)]}


def _ears(comparison: Comparison) -> str:
    """The folder of the manifests."""
    return "${data}" if comparison.data_dir is None else str(comparison.data_dir)
