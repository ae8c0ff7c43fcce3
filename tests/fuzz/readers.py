"""The readers that a user's file can reach: valid files, how they are changed, and what reads them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from PIL import Image

from configs.build import configured
from data.landmarks import load_scheme
from tests.fuzz import mutations as change

Contents = st.SearchStrategy[bytes]
NAMES = list(load_scheme().names)
PLACES = [[20 + 1.5 * n, 12 + 2.5 * n] for n in range(17)]  # in pictures of 64 x 64
_BOX = [16, 8, 36, 48]  # x, y, width, height


@dataclasses.dataclass(frozen=True)
class Reader:
    """A kind of file.

    file: its name in the folder. valid: one that is read. contents: files made from it. read: reads it, given
    its path; `where` is a folder with a.png, b.png and what else the file needs.
    """

    file: str
    valid: Callable[[], bytes]
    contents: Callable[[], Contents]
    read: Callable[[Path], object]
    beside: tuple[tuple[str, str], ...] = ()

    def run(self, content: bytes, where: Path) -> object:
        """Put the content into its place and read it."""
        _pictures(where)
        for name, text in self.beside:
            (where / name).parent.mkdir(exist_ok=True)
            (where / name).write_text(text)
        path = where / self.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with contextlib.chdir(where):
            return self.read(path)


def _pictures(where: Path) -> None:
    for seed, name in enumerate(("a.png", "b.png")):
        if not (where / name).is_file():
            where.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(where / name)


# ---- what reads


def prepare(path: Path, format_name: str, **options: object) -> object:
    """data.prepare, from reading to manifests; half of the files are read as the format that they show."""
    from data import prepare

    content = path.read_bytes() if path.is_file() else b""
    automatic = hashlib.sha256(content).digest()[0] % 2 and format_name != "predictions"
    config = configured(
        prepare.Config, input=(path,), format="auto" if automatic else format_name, num_workers=0,
        val_fraction=0, test_fraction=0, output_dir=path.parent / "out", **options,
    )  # fmt: skip
    with mock.patch.object(prepare, "write_provenance"), mock.patch("configs.files._flush_to_disk"):
        return prepare.main(config)


def _prepared(format_name: str, folder: bool = False) -> Callable[[Path], object]:
    return lambda path: prepare(path.parent if folder else path, format_name)


def _manifest(path: Path) -> object:
    from data.manifest import read_manifest

    prepare(path, "npy")
    return read_manifest(path)


def _predictions(path: Path) -> object:
    from data.convert.__main__ import Config, main
    from students.inference.inputs import Input
    from students.inference.progress import Progress

    begun = path.with_name("begun.json")
    begun.write_bytes(path.read_bytes())
    progress = Progress(begun, {"score_threshold": 0.5})
    progress.begin([Input("image", "a.png", "a"), Input("image", "b.png", "b")], ["a"])
    output = path.parent / f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.xml"
    return main(Config(path, "cvat", output)) if not output.exists() else None


def _recipe(path: Path) -> object:
    from configs.recipe import load_recipe, with_overrides
    from distill.pipeline.fingerprint import Fingerprints
    from distill.pipeline.plan import plan_stages
    from distill.study.recipe import load_study

    content = path.read_bytes()
    if b"models" in content and b"arms" in content:
        return load_study(path)
    recipe = load_recipe(path)
    return plan_stages(with_overrides(recipe, ["seed=3"]), Fingerprints())


def _overrides(path: Path) -> object:
    from configs.recipe import recipe_from, with_overrides

    recipe = recipe_from({"stages": {"data": {"command": "data.render"}}}, Path("r.yaml"))
    return with_overrides(recipe, [path.read_text(encoding="utf-8", errors="replace")])


def _scheme(path: Path) -> object:
    from data.landmarks import _load, load_scheme

    _load.cache_clear()
    return load_scheme(path)


def _run_records(path: Path) -> object:
    """A run folder whose records are all this file."""
    from configs.recipe import recipe_from
    from distill.pipeline.fingerprint import Fingerprints
    from distill.pipeline.live import live_run
    from distill.pipeline.plan import plan_stages
    from distill.pipeline.status import status
    from distill.teacher_maps.acceptance import acceptance_limit

    content, run_dir = path.read_bytes(), path.parent / "run"
    recipe = recipe_from({"run_dir": str(run_dir), "stages": {"data": {"command": "data.render"}}}, path)
    for name in ("data/stage.json", ".work/live.json", ".work/fingerprints.json"):
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / name).write_bytes(content)
    live_run(run_dir)
    status(recipe)
    plan_stages(recipe, Fingerprints(run_dir / ".work/fingerprints.json"))
    return acceptance_limit(path)


def _kept_maps(path: Path) -> object:
    from distill.teacher_maps.store import KeptMaps

    maps = KeptMaps(path.parent)
    return maps.crop_settings, maps.predictions, maps.verify(), maps.read(0, 0)


def _list(path: Path) -> object:
    from data.preparation.photographs import photographs_of

    return photographs_of(path)


def _picture(path: Path) -> object:
    from data.formats.rules.picture_size import look_at
    from data.images import image_size, read_image

    look_at(path)
    image_size(path)
    return read_image(path)


def _student(path: Path) -> object:
    from students.models.checkpoint import load_student, student_crops

    student_crops(path)
    return load_student(path)


def _teacher(path: Path) -> object:
    from teacher.models.registry import load_model

    return load_model(path)


def _landmarker(path: Path) -> object:
    return _pipeline(_onnx("detector"), path)


def _detector(path: Path) -> object:
    return _pipeline(path, _onnx("landmarker"))


def _pipeline(detector: bytes | Path, landmarker: bytes | Path) -> object:
    from students.inference.pipeline import EarPipeline

    folder = next(given for given in (detector, landmarker) if isinstance(given, Path)).parent
    paths = []
    for name, given in (("detector.onnx", detector), ("landmarker.onnx", landmarker)):
        paths.append(given if isinstance(given, Path) else folder / name)
        if isinstance(given, bytes):
            paths[-1].write_bytes(given)
    pipeline = EarPipeline(*paths, threads=1)
    return pipeline(np.asarray(Image.open(folder / "a.png")))


# ---- valid files


COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 64, "height": 64},
        {"id": 2, "file_name": "b.png", "width": 64, "height": 64},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": _BOX, "iscrowd": 0,
         "keypoints": [number for place in PLACES for number in (*place, 2)]},
        {"id": 2, "image_id": 2, "category_id": 1, "segmentation": [[20, 12, 50, 12, 50, 50, 20, 50]]},
    ],
    "categories": [{"id": 1, "name": "ear", "keypoints": NAMES}],
}  # fmt: skip
LABELME = {
    "imagePath": "a.png", "imageWidth": 64, "imageHeight": 64, "flags": {}, "shapes": [
        {"label": "ear", "shape_type": "rectangle", "points": [[16, 8], [52, 56]], "group_id": 1},
        {"label": "ear", "shape_type": "circle", "points": [[32, 32], [40, 32]], "group_id": 2},
        {"label": NAMES[0], "shape_type": "point", "points": [[20.5, 12.5]], "group_id": 1},
    ],
}  # fmt: skip
_SIZE = {"original_width": 64, "original_height": 64, "image_rotation": 0}
LABEL_STUDIO = [
    {"id": 1, "data": {"image": "/data/upload/1/1a2b3c4d-a.png"}, "annotations": [{"result": [
        {"id": "r", "type": "rectanglelabels", **_SIZE, "value":
            {"x": 25, "y": 12.5, "width": 50, "height": 75, "rotation": 5, "rectanglelabels": ["ear"]}},
        {"id": "p", "type": "keypointlabels", "parentID": "r", **_SIZE, "meta": {"text": ["hidden"]},
         "value": {"x": 40, "y": 40, "width": 0.5, "keypointlabels": [NAMES[0]]}},
        {"type": "polygonlabels", **_SIZE,
         "value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["ear"]}},
        {"type": "ellipselabels", **_SIZE, "value":
            {"x": 50, "y": 50, "radiusX": 9, "radiusY": 9, "rotation": 0, "ellipselabels": ["ear"]}},
    ]}]},
    {"data": {"image": "b.png"}, "annotations": [{"result": [], "ground_truth": True}], "predictions": []},
]  # fmt: skip
LABEL_STUDIO_MIN = [
    {"image": "a.png", "id": 1, "box": [
        {"x": 25, "y": 12.5, "width": 50, "height": 75, "rotation": 0, "rectanglelabels": ["ear"], **_SIZE}]},
]  # fmt: skip
VIA = {
    "a.png123": {"filename": "a.png", "size": 123, "file_attributes": {}, "regions": [
        {"shape_attributes": {"name": "rect", "x": 16, "y": 8, "width": 36, "height": 48},
         "region_attributes": {"class": "ear"}},
        {"shape_attributes": {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
         "region_attributes": {"class": {"ear": True}}},
        {"shape_attributes": {"name": "ellipse", "cx": 30, "cy": 30, "rx": 9, "ry": 9, "theta": 0.1},
         "region_attributes": {"class": "ear"}},
        {"shape_attributes": {"name": "point", "cx": 20, "cy": 20}, "region_attributes": {"class": NAMES[0]}},
    ]},
    "b.png123": {"filename": "b.png", "size": 123, "file_attributes": {}, "regions": []},
}  # fmt: skip
PREDICTIONS = {
    "landmark_names": NAMES, "skipped": [], "passed_over": [], "unfinished": {"score_threshold": 0.5},
    "inputs": [
        {"path": "a.png", "kind": "image", "height": 64, "width": 64, "ears": [
            {"box_xyxy": [16, 8, 52, 56], "score": 0.9, "points_px": PLACES, "point_confidence": [0.5]}]},
        {"path": "v.mp4", "kind": "video", "height": 64, "width": 64, "frames": [{"frame": 0, "ears": []}]},
    ],
}  # fmt: skip
MANIFEST = {
    "image_paths": ["a.png", "b.png"], "bboxes": [[16.0, 8.0, 52.0, 56.0]] * 2, "landmarks": [PLACES] * 2,
    "visibility": [[2] * 17] * 2, "sources": ["anna", "bert"], "scores": [0.5, 1.0],
    "empty_image_paths": [], "crops": {"margin": 0.2, "scheme": {"names": NAMES, "curves": {"rim": [0, 1]}}},
}  # fmt: skip
RECIPE = {
    "name": "r", "run_dir": "runs/r", "seed": 1, "stages": {
        "data": {"command": "data.render", "options": {"ears": 3, "scene_px": [240, 320], "num_workers": 0}},
        "twin": {"command": "distill.train", "needs": ["data"], "options": {
            "student": "landmarker", "distill": False, "train-npy": "${data}/train_teacher.npy",
            "labelled_npy": "${data}/train_labelled.npy", "val_npy": "${data}/val_labelled.npy",
            "geometry": {"flip": 0}, "lr": "1e-3"}},
    },
}  # fmt: skip
_ARM = {"command": "distill.train", "options": {"student": "landmarker", "train_npy": "${data}/train.npy"}}
STUDY = {
    "name": "s", "run_dir": "runs/s", "seeds": [0, 1],
    "shared": {"data": {"command": "data.render", "options": {"ears": 3}}},
    "models": {
        "landmarker": {"budgets": [5, "all"], "arms": {"a": _ARM, "b": _ARM}, "compare": [["a", "b"]]}},
    "test": {"ears_npy": "${data}/test_labelled.npy"},
}  # fmt: skip
SCHEME = {"names": ["a", "b", "c"], "curves": {"rim": [0, 1, 2]}, "flip": [0, 2, 1],
          "mean_shape_unit": [[0, 0], [1, 0], [0, 1]]}  # fmt: skip
RECORD = {
    "command": "data.render", "version": 1, "settings": {"ears": 3, "view.yaw": [1, 2]},
    "inputs": {"a.npy": "0f"}, "upstream": {}, "run": "00", "finished": "2026-11-21T10:00:00+0000",
    "seconds": 1.5, "nme": 0.03,
    "process": 1, "host": "here", "began": {"data": 1.0}, "/a.npy": [1, 2, "0f"],
}  # fmt: skip
DATA_YAML = {"path": ".", "train": ".", "val": ["images"], "nc": 1, "names": {"0": "ear"},
             "kpt_shape": [17, 3], "kpt_names": {"0": NAMES}}  # fmt: skip
YOLO_LABEL = (
    " ".join(map(str, [0, 0.53, 0.5, 0.56, 0.75, *[f"{v / 64:.4f}" for p in PLACES for v in p]])) + "\n"
)
POSE_LABEL = " ".join(
    map(str, [0, 0.53, 0.5, 0.56, 0.75, *[v for x, y in PLACES for v in (x / 64, y / 64, 2)]])
)
PTS = "version: 1\nn_points: 17\n{\n" + "".join(f"{x} {y}\n" for x, y in PLACES) + "}\n"
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,64,64,ear,16,8,52,56\nb.png,64,64,,,,,\n"
VIA_CSV = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    'a.png,123,{},1,0,"{""name"":""rect"",""x"":16,""y"":8,""width"":36,""height"":48}","{""class"":""ear""}"\n'
)
DEEPLABCUT = "".join(
    ",".join([head, *[cell for n in range(17) for cell in cells(n)]]) + "\n"
    for head, cells in (
        ("scorer", lambda n: ("me", "me")),
        ("bodyparts", lambda n: (NAMES[n], NAMES[n])),
        ("coords", lambda n: ("x", "y")),
        ("a.png", lambda n: tuple(map(str, PLACES[n]))),
    )
)
VOC = (
    "<annotation><filename>a.png</filename><size><width>64</width><height>64</height></size><object><name>ear"
    "</name><bndbox><xmin>16</xmin><ymin>8</ymin><xmax>52</xmax><ymax>56</ymax></bndbox></object></annotation>"
)
CVAT = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations><image id="0" name="a.png" width="64" height="64">'
    '<box label="ear" xtl="16" ytl="8" xbr="52" ybr="56" group_id="1" rotation="3"/>'
    '<skeleton label="ear points" group_id="1">'
    + "".join(f'<points label="{n}" points="{x},{y}"/>' for n, (x, y) in zip(NAMES, PLACES, strict=True))
    + '</skeleton><polygon label="ear" points="1,1;9,1;9,9"/>'
    '<ellipse label="ear" cx="9" cy="9" rx="3" ry="3"/>'
    '<mask label="ear" left="1" top="1" width="9" height="9"/></image><image id="1" name="b.png"/>'
    "</annotations>"
)
NAMES_TXT = "ear\nhat\n"
YAML_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)


@functools.cache
def _onnx(kind: str) -> bytes:
    """A network that gives what one of its kind gives, whatever it is shown, with all metadata."""
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0)]
    weights = [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])]
    if kind == "detector":
        shapes = {"boxes_xyxy": [2, 4], "scores": [2]}
        constants = {"boxes_xyxy": [16, 8, 52, 56, 0, 0, 9, 9], "scores": [0.9, 0.1]}
    else:
        shapes = {"points_unit": [1, 17, 2], "confidence": [1, 17]}
        constants = {"points_unit": [n / 64 for place in PLACES for n in place], "confidence": [0.9] * 17}
    for name, shape in shapes.items():
        weights.append(helper.make_tensor(f"c_{name}", TensorProto.FLOAT, shape, constants[name]))
        ones = [1] * len(shape) if kind == "detector" else [-1, *[1] * (len(shape) - 1)]
        weights.append(helper.make_tensor(f"s_{name}", TensorProto.INT64, [len(ones)], ones))
        nodes.append(helper.make_node("Reshape", ["mean", f"s_{name}"], [f"m_{name}"]))
        nodes.append(helper.make_node("Sub", [f"m_{name}", f"m_{name}"], [f"z_{name}"]))
        nodes.append(helper.make_node("Add", [f"z_{name}", f"c_{name}"], [name]))
    count, side = (1, "side") if kind == "detector" else ("ears", 64)
    image = value("image", TensorProto.FLOAT, [count, 3, side, side])
    outputs = [value(name, TensorProto.FLOAT, None) for name in shapes]
    graph = helper.make_graph(nodes, "g", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, _metadata(kind))
    return model.SerializeToString()


def _metadata(kind: str) -> dict[str, str]:
    scheme = load_scheme()
    metadata = {"pinna_kind": kind, "image_px": "64"}
    if kind == "landmarker":
        listed = {"landmark_names": NAMES, "flip": scheme.flip, "curves": scheme.curves,
                  "mean_shape_unit": scheme.mean_shape_unit.tolist()}  # fmt: skip
        metadata |= {"margin": "0.1"} | {name: json.dumps(value) for name, value in listed.items()}
    return metadata


def _checkpoint(tree: object) -> bytes:
    """As torch.save writes it; a list of numbers under `state_dict` becomes a tensor."""
    import torch

    file = io.BytesIO()
    torch.save(tree, file)
    return file.getvalue()


@functools.cache
def _student_tree() -> dict:
    import torch

    from students.models.checkpoint import build_student

    options = {"num_landmarks": 3, "image_px": 64, "trunk": "resnet10_slim", "width": 8}
    student = build_student("landmarker", options)
    state = {name: torch.zeros_like(tensor) for name, tensor in student.state_dict().items()}
    crops = {"margin": 0.2, "scheme": {"names": ["a", "b", "c"], "curves": {}, "flip": [0, 1, 2]}}
    return {"kind": "landmarker", "model": options, "state_dict": state, "crops": crops}


@functools.cache
def _teacher_tree() -> dict:
    from teacher.checkpoint import hyper_parameters
    from tests.tiny_teacher import tiny_vae

    vae = tiny_vae()
    state = {f"model.{name}": tensor for name, tensor in vae.state_dict().items()}
    crops = {"margin": 0.2, "scheme": {"names": ["a", "b", "c"], "curves": {}, "flip": [0, 1, 2]}}
    return {"hyper_parameters": hyper_parameters(vae, "EarVAE") | {"crops": crops}, "state_dict": state}


# ---- how they are changed


def _json(tree: object) -> Callable[[], Contents]:
    @st.composite
    def contents(draw: DrawFn) -> bytes:
        return draw(change.encoded(change.to_json(draw(change.changed_tree(tree)))))

    return contents


def _yaml(tree: object, *more: str) -> Callable[[], Contents]:
    @st.composite
    def contents(draw: DrawFn) -> bytes:
        way = draw(st.integers(0, 5))
        text = (
            change.to_yaml(draw(change.changed_tree(tree)))
            if way
            else draw(st.sampled_from((YAML_BOMB, *more)))
        )
        return draw(change.encoded(draw(change.changed_text(text)) if way == 1 else text))

    return contents


def _text(text: str) -> Callable[[], Contents]:
    @st.composite
    def contents(draw: DrawFn) -> bytes:
        return draw(change.encoded(draw(change.changed_text(text))))

    return contents


def _bytes(valid: Callable[[], bytes]) -> Callable[[], Contents]:
    return lambda: change.changed_bytes(valid())


def _plain_only(tree: object) -> object:
    """A tree that pickle takes: raw text as text, no half characters that protocol 4 refuses."""
    if isinstance(tree, dict):
        return {key: _plain_only(item) for key, item in tree.items()}
    return [_plain_only(item) for item in tree] if isinstance(tree, list) else tree


@st.composite
def _manifests(draw: DrawFn) -> bytes:
    tree = _plain_only(draw(change.changed_tree(MANIFEST)))
    if isinstance(tree, dict) and draw(st.booleans()):  # as arrays, where they can be
        tree = {key: _array(value) for key, value in tree.items()}
    content = _npy(tree, draw(st.integers(0, pickle.HIGHEST_PROTOCOL)))
    return draw(change.changed_bytes(content)) if draw(st.integers(0, 2)) == 0 else content


def _array(value: object) -> object:
    try:
        return np.array(value) if isinstance(value, list) else value
    except (ValueError, OverflowError):
        return value


def _npy(tree: object, protocol: int = 4) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    boxed = np.empty((), dtype=object)
    boxed[()] = tree
    pickle.dump(boxed, file, protocol=protocol)
    return file.getvalue()


def _checkpoints(tree: Callable[[], dict], weights: str = "state_dict") -> Callable[[], Contents]:
    """Everything changes but the weights; now and then a weight, or bytes of the pickle inside."""

    @st.composite
    def contents(draw: DrawFn) -> bytes:
        whole = tree()
        about = {key: value for key, value in whole.items() if key != weights}
        changed = draw(change.changed_tree(about))
        way = draw(st.integers(0, 5))
        if isinstance(changed, dict) and way:
            changed = {**changed, weights: whole[weights]}
        if isinstance(changed, dict) and way == 1:
            names = list(whole[weights])
            name = draw(st.sampled_from(names))
            strange = draw(st.one_of(change.strange_values(), st.just(whole[weights][names[0]])))
            changed[weights] = {**whole[weights], name: strange}
        content = _checkpoint(_plain_only(changed))
        if way == 2:
            return _with_pickle(content, lambda code: draw(change.changed_bytes(code)))
        return draw(change.changed_bytes(content)) if way == 3 else content

    return contents


def _with_pickle(content: bytes, changed: Callable[[bytes], bytes]) -> bytes:
    """The archive with another `data.pkl` in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for item in old.namelist():
            new.writestr(item, changed(old.read(item)) if item.endswith("data.pkl") else old.read(item))
    return file.getvalue()


def _networks(kind: str) -> Callable[[], Contents]:
    @st.composite
    def contents(draw: DrawFn) -> bytes:
        import onnx

        model = onnx.load_from_string(_onnx(kind))
        read = {name: _parsed(text) for name, text in _metadata(kind).items()}
        changed = draw(change.changed_tree(read))
        changed = changed if isinstance(changed, dict) else {"image_px": changed}
        texts = {str(k): v if isinstance(v, str) else change.to_json(v) for k, v in changed.items()}
        clean = {k.encode(errors="replace"): v.encode(errors="replace") for k, v in texts.items()}
        onnx.helper.set_model_props(model, {k.decode(): v.decode() for k, v in clean.items()})
        return model.SerializeToString()

    return contents


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _saved(format_name: str, mode: str = "RGB") -> Callable[[], bytes]:
    def save() -> bytes:
        file = io.BytesIO()
        pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(file, format_name)
        return file.getvalue()

    return save


PICTURES = (
    "JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF", "PPM", "QOI", "MPO",
)  # fmt: skip


def _heic() -> bytes:
    return (Path(__file__).parent.parent / "data" / "turned.heic").read_bytes()


def _of_json(file: str, tree: object, read: Callable[[Path], object]) -> Reader:
    return Reader(file, lambda: json.dumps(tree).encode(), _json(tree), read)


def _of_yaml(
    file: str, tree: object, read: Callable[[Path], object], *more: str, **options: object
) -> Reader:
    return Reader(file, lambda: change.to_yaml(tree).encode(), _yaml(tree, *more), read, **options)


def _of_text(file: str, text: str, read: Callable[[Path], object], **options: object) -> Reader:
    return Reader(file, text.encode, _text(text), read, **options)


READERS: dict[str, Reader] = {
    "manifest": Reader("m.npy", lambda: _npy(MANIFEST), _manifests, _manifest),
    "coco": _of_json("c.json", COCO, _prepared("coco")),
    "labelme": _of_json("a.json", LABELME, _prepared("labelme")),
    "label_studio": _of_json("l.json", LABEL_STUDIO, _prepared("label-studio")),
    "label_studio_min": _of_json("l.json", LABEL_STUDIO_MIN, _prepared("label-studio")),
    "via": _of_json("v.json", VIA, _prepared("via")),
    "predictions": _of_json("predictions.json", PREDICTIONS, _predictions),
    "predictions_prepared": _of_json("predictions.json", PREDICTIONS, _prepared("predictions")),
    "voc": _of_text("a.xml", VOC, _prepared("voc")),
    "cvat": _of_text("c.xml", CVAT, _prepared("cvat")),
    "csv": _of_text("b.csv", CSV, _prepared("csv")),
    "via_csv": _of_text("v.csv", VIA_CSV, _prepared("via")),
    "deeplabcut": _of_text("CollectedData_me.csv", DEEPLABCUT, _prepared("deeplabcut")),
    "pts": _of_text("a.pts", PTS, _prepared("pts", folder=True)),
    "yolo": _of_text("a.txt", YOLO_LABEL, _prepared("yolo-polygons", folder=True)),
    "yolo_pose": _of_text("a.txt", POSE_LABEL, _prepared("yolo-pose", folder=True)),
    "data_yaml": _of_yaml(
        "data.yaml", DATA_YAML, _prepared("yolo-pose"), "train: list.txt\nnames: [ear]\n",
        beside=(("list.txt", "./a.png\nb.png\n"), ("a.txt", POSE_LABEL)),
    ),
    "yolo_list": _of_text(
        "list.txt", "./a.png\nb.png\n", lambda path: prepare(path.with_name("data.yaml"), "yolo-pose"),
        beside=(("data.yaml", "train: list.txt\nnames: [ear]\n"), ("a.txt", POSE_LABEL)),
    ),
    "class_list": _of_text("classes.txt", NAMES_TXT, _prepared("yolo", folder=True),
        beside=(("a.txt", "0 .5 .5 .5 .5"),)),
    "photograph_list": _of_text("l.txt", "a.png\nb.png\n", _list),
    "recipe": _of_yaml("r.yaml", RECIPE, _recipe),
    "study": _of_yaml("s.yaml", STUDY, _recipe),
    "override": _of_text("o.txt", "data.ears=3", _overrides),
    "scheme": _of_yaml("scheme.yaml", SCHEME, _scheme),
    "run_records": _of_json("record.json", RECORD, _run_records),
    "student": Reader("s.pt", lambda: _checkpoint(_student_tree()), _checkpoints(_student_tree), _student),
    "teacher": Reader("t.ckpt", lambda: _checkpoint(_teacher_tree()), _checkpoints(_teacher_tree), _teacher),
    "landmarker": Reader("l.onnx", lambda: _onnx("landmarker"), _networks("landmarker"), _landmarker),
    "detector": Reader("d.onnx", lambda: _onnx("detector"), _networks("detector"), _detector),
    **{
        f"picture_{name.lower()}": Reader(f"p.{name.lower()}", _saved(name), _bytes(_saved(name)), _picture)
        for name in PICTURES
    },
    "picture_heic": Reader("p.heic", _heic, _bytes(_heic), _picture),
}  # fmt: skip
