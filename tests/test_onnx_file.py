"""ONNX files and weights that other tools changed are refused when opened, with the likely cause."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from configs.errors import UserError
from students import EarPipeline
from students.inference.onnx_file import open_model
from students.inference.pipeline import PRETRAINED
from students.models.checkpoint import load_student
from teacher.checkpoint import read_torch

LANDMARKER = PRETRAINED[1]


def other_network(path: Path, **metadata: str) -> Path:
    """One that gives back its image of 8 px."""
    shape = [1, 3, 8, 8]
    taken = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["output0"])], "g", [taken], [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def changed(path: Path, half: bool = False, **metadata: str | None) -> Path:
    """The landmarker that ships, with an input of float16, or other metadata (None: without it)."""
    model = onnx.load(LANDMARKER)
    if half:
        image = model.graph.input[0]
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == image.name:
                    node.input[place] = "image_fp32"
        cast = helper.make_node("Cast", [image.name], ["image_fp32"], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
        image.type.tensor_type.elem_type = TensorProto.FLOAT16
    kept = {entry.key: entry.value for entry in model.metadata_props} | metadata
    helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
    onnx.save(model, path)
    return path


def test_the_models_that_ship_are_as_they_should_be() -> None:
    for path, kind in zip(PRETRAINED, ("detector", "landmarker"), strict=True):
        assert open_model(path, kind)[1].image_px in (320, 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half": True}, r"its input is tensor\(float16\), wanted is tensor\(float\)"),
        ({"landmark_names": None}, "its metadata lack landmark_names"),
        ({"pinna_kind": None}, "has lost its metadata, as simplifiers"),
        ({"pinna_kind": "detector"}, "a landmarker is wanted here, found detector"),
        ({"image_px": "wide"}, "image_px = 'wide', which makes no sense"),
        ({"flip": "{}"}, r"flip = '\{\}', which makes no sense"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_model(changed(tmp_path / "a.onnx", **changes), "landmarker")


def test_an_execution_provider_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"no 'CUDA', only .*CPUExecutionProvider"):
        EarPipeline.pretrained(providers=["CUDA", "CPUExecutionProvider"])
    with pytest.raises(UserError, match=r"no 'CPUExecutionProvide', .*Did you mean 'CPUExecutionProvider'"):
        EarPipeline.pretrained(providers="CPUExecutionProvide")


def test_an_execution_provider_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime goes on without one whose libraries are missing."""

    class Session(onnxruntime.InferenceSession):
        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    asked = ["OtherExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: asked)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, providers: Session(path, options, asked[1:])
    )
    with pytest.raises(UserError, match="OtherExecutionProvider did not start.*Started: CPUExecution"):
        open_model(LANDMARKER, "landmarker", providers=asked)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = onnx.load(LANDMARKER)
    largest = max(model.graph.initializer, key=lambda weights: len(weights.raw_data))
    values = onnx.numpy_helper.to_array(largest).copy()
    values[...] = float("nan")
    largest.CopyFrom(onnx.numpy_helper.from_array(values, largest.name))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match="gives NaN or infinity: its training diverged"):
        open_model(tmp_path / "a.onnx", "landmarker")


def test_what_is_no_model_of_ours_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(UserError, match="found a model that students.export did not write"):
        open_model(other_network(path), "detector")
    with pytest.raises(UserError, match="takes images and gives output0; a detector takes image"):
        open_model(other_network(path, pinna_kind="detector", image_px="320"), "detector")
    for content, cause in {
        b"version https://git-lfs.github.com/spec/v1\n": "Git LFS pointer",
        b"<!DOCTYPE html>": "an HTML page",
        b"": "the file is empty",
        LANDMARKER.read_bytes()[:5000]: "not an ONNX model that can be read",
    }.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=cause):
            open_model(path, "landmarker")


@pytest.mark.parametrize("read", [load_student, read_torch])
def test_weights_that_are_something_else_say_what(tmp_path: Path, read: Callable) -> None:
    path = tmp_path / "a.pt"
    for content, cause in {
        b"version https://git-lfs.github.com/spec/v1\n": "Git LFS pointer",
        b"<html>": "an HTML page",
    }.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=cause):
            read(path)


def test_a_student_of_nan_is_refused(tmp_path: Path) -> None:
    content = torch.load(LANDMARKER.with_suffix(".pt"), weights_only=True)
    next(iter(content["state_dict"].values()))[...] = float("nan")
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UserError, match="holds NaN or infinity: its training diverged"):
        load_student(tmp_path / "a.pt")
