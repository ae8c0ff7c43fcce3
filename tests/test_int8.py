"""Quantised students: whole numbers inside, the same outside; how far they are from the float32 ones."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from configs.errors import UserError
from data.manifest import Manifest
from data.render.scene.scene import render_scene
from students import EarPipeline
from students.evaluation.box_finders import find_boxes, load_box_finder
from students.evaluation.point_readers import load_point_reader
from students.inference.letterbox import ear_crop, letterboxed, letterboxes
from students.inference.onnx_file import int8_file, open_model
from students.inference.pipeline import PRETRAINED
from students.onnx_export.check_int8 import compare_int8, relative_distances
from students.onnx_export.pipeline_inputs import pipeline_inputs
from students.onnx_export.quantise import export_int8, quantised_nodes
from tests.tiny_students import CROP_PX, FRAME_PX, rectangle_frame, tiny_files

BOX = (30, 20, 54, 60)
KINDS = ("detector", "landmarker")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Four photographs of 90 x 120 px with a rectangle each."""
    folder = tmp_path_factory.mktemp("frames")
    paths = [str(folder / f"{index}.png") for index in range(4)]
    for index, path in enumerate(paths):
        Image.fromarray(rectangle_frame(BOX, 90, 120, seed=index)).save(path)
    return Manifest(image_paths=np.array(paths), boxes_xyxy=np.tile(BOX, (4, 1)).astype(np.float32))


@pytest.fixture(scope="module")
def run(tmp_path_factory, manifest) -> Path:
    """A run with the tiny students, float32 and int8; and what was said of the latter, in reports."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "export").mkdir()
    for kind in KINDS:
        path = folder / "export" / f"{kind}.onnx"
        path.write_bytes((tiny_files() / "export" / path.name).read_bytes())
        written, report = export_int8(path, kind, manifest)
        assert written == folder / "export" / f"{kind}.int8.onnx"
        # random weights: the landmarker's peaks are those of noise, and hang on every rounding
        assert report["quantises_badly"] == (kind == "landmarker")
    return folder


@pytest.mark.parametrize(
    ("kind", "float_weights"),
    [
        ("detector", {(32, 3, 3, 3), (1, 16, 1, 1), (4, 16, 1, 1)}),
        ("landmarker", {(6, 3, 3, 3), (8, 6, 3, 3), (17, 32, 1, 1)}),
    ],
)
def test_all_convolutions_but_the_first_and_the_heads_have_weights_of_eight_bits(run, kind, float_weights):
    model = onnx.load(run / "export" / f"{kind}.int8.onnx")
    made_by = {node.output[0]: node for node in model.graph.node}
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    float32 = [node for node in convolutions if node.input[1] in weights]
    assert {weights[node.input[1]].shape for node in float32} == float_weights
    assert len(convolutions) > 20
    for node in convolutions:
        if node not in float32:
            whole = weights[made_by[node.input[1]].input[0]]
            activation = made_by[node.input[0]]
            assert whole.dtype == np.int8 and whole.ndim == 4
            assert activation.op_type == "DequantizeLinear"
            assert weights[activation.input[2]].dtype == np.uint8
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) > 20
    fp32 = run / "export" / f"{kind}.onnx"
    assert int8_file(fp32).stat().st_size < 0.5 * fp32.stat().st_size


def test_weights_are_rounded_by_channel(run):
    """By hand: the largest of each channel is 127 or -127."""
    before, after = (onnx.load(run / "export" / name) for name in ("landmarker.onnx", "landmarker.int8.onnx"))
    name = "pyramid.smoothers.0.0.weight"
    weights = {entry.name: numpy_helper.to_array(entry) for entry in before.graph.initializer}[name]
    found = {entry.name: numpy_helper.to_array(entry) for entry in after.graph.initializer}
    whole, scale = found[f"{name}_quantized"], found[f"{name}_scale"]
    assert scale == pytest.approx(np.abs(weights).max(axis=(1, 2, 3)) / 127, rel=1e-4)
    assert np.abs(whole - weights / scale[:, None, None, None]).max() < 0.501


def test_metadata_inputs_and_outputs_are_kept(run):
    for kind in KINDS:
        paths = [run / "export" / f"{kind}{ending}.onnx" for ending in ("", ".int8")]
        first, second = (open_model(path, kind, threads=1)[0] for path in paths)
        known, found = (session.get_modelmeta().custom_metadata_map for session in (first, second))
        assert found == known | {"precision": "int8"}
        assert len(known) >= 5
        for given in ("get_inputs", "get_outputs"):
            shapes = [[(x.name, x.type, x.shape) for x in getattr(s, given)()] for s in (first, second)]
            assert shapes[0] == shapes[1]


@pytest.mark.parametrize("looks", ["one", "many"])
def test_the_pipeline_sees_the_same_ears(run, looks):
    frame = rectangle_frame(BOX, 90, 120, seed=9)  # not one of the calibration
    first, second = (
        EarPipeline.from_run(run, int8=int8, threads=1, score_threshold=0.01, looks=looks)
        for int8 in (False, True)
    )
    assert second.landmark_names == first.landmark_names
    (box, *_), (box_int8, *_) = first.boxes(frame), second.boxes(frame)
    assert box_int8[:4] == pytest.approx(box[:4], abs=1.5) and box_int8[4] == pytest.approx(box[4], abs=0.05)
    assert not np.array_equal(box_int8, box)
    points, points_int8 = (pipeline.landmarks(frame, np.array(BOX)) for pipeline in (first, second))
    assert 0 < np.abs(points_int8 - points).mean() < 1.5  # px: its weights are random
    best, best_int8 = (max(ear.score for ear in pipeline(frame)) for pipeline in (first, second))
    assert best_int8 == pytest.approx(best, abs=0.05)


def test_a_run_without_int8_says_how_to_make_it():
    with pytest.raises(UserError, match=r"landmarker.int8.onnx missing.* export.int8=true.* --int8 "):
        EarPipeline.from_run(tiny_files(), int8=True)


def test_the_evaluation_reads_onnx_files_as_it_reads_weights():
    image, box = rectangle_frame((60, 40, 110, 130), 200, 260), np.array([55.0, 35, 115, 140])
    export = tiny_files() / "export"
    weights, file = (
        load_point_reader(path, is_teacher=False)
        for path in (tiny_files() / "landmarker.pt", export / "landmarker.onnx")
    )
    file.crops.require_same(weights.crops, "the file", "the weights")
    assert (file.names, file.flip, file.image_px) == (weights.names, weights.flip, weights.image_px)
    read = [reader.read([image, image], [box, box]) for reader in (weights, file)]
    np.testing.assert_allclose(read[1].points_px, read[0].points_px, atol=0.1)
    np.testing.assert_allclose(read[1].confidence, read[0].confidence, atol=1e-3)
    found = [
        find_boxes(load_box_finder(path), [image])[0]
        for path in (tiny_files() / "detector.pt", export / "detector.onnx")
    ]
    np.testing.assert_allclose(found[1][0], found[0][0], atol=2e-3)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=2e-3)


def test_what_the_pipeline_reads_is_what_is_recorded(manifest):
    export = tiny_files() / "export"
    rgb = np.array(Image.open(manifest.image_paths[2]))
    frames = pipeline_inputs(export / "detector.onnx", "detector", manifest, [2])
    expected = [letterboxed(rgb, letterbox)[0][None] for letterbox in letterboxes(FRAME_PX)]
    assert len(frames) == 3
    for seen, right in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(seen, right)
    crops = pipeline_inputs(export / "landmarker.onnx", "landmarker", manifest, [2])
    np.testing.assert_array_equal(crops[0][0], ear_crop(rgb, np.array(BOX), CROP_PX)[0])


def test_thin_convolutions_and_what_follows_the_last_of_each_path_stay_as_they_are():
    steps = [
        ("Sub", "image", "a"), ("Conv", "a", "b"), ("Relu", "b", "c"), ("Conv", "c", "d"),
        ("Softmax", "d", "e"), ("MaxPool", "c", "f"), ("Conv", "f", "g"), ("Sigmoid", "f", "h"),
    ]  # fmt: skip
    nodes = [helper.make_node(kind, [x, f"w_{y}"], [y], name=f"{kind}_{y}") for kind, x, y in steps]
    image = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])]

    def found(**channels: int) -> list[str]:
        weights = [
            numpy_helper.from_array(np.zeros((16, channels.get(y, 16), 3, 3), np.float32), f"w_{y}")
            for kind, _, y in steps
            if kind == "Conv"
        ]
        return quantised_nodes(helper.make_graph(nodes, "g", image, [], weights))

    assert found() == ["Sub_a", "Conv_b", "Relu_c", "MaxPool_f"]
    assert found(b=3) == ["Sub_a", "Relu_c", "MaxPool_f"]
    nodes[1].attribute.append(helper.make_attribute("group", 16))  # depthwise
    assert found(b=1) == found()


def test_distances_are_over_the_diagonal():
    points = np.array([[[0.0, 0.0], [3.0, 4.0]], [[7.0, 7.0], [7.0, 7.0]]])
    others = points + np.array([[[1.0, 0.0], [0.0, 0.5]], [[0.0, 2.0], [0.0, 0.0]]])
    found = relative_distances(points, others, least_diagonal=0.5)
    assert found == pytest.approx(np.array([[0.2, 0.1], [4.0, 0.0]]))


def test_a_file_that_is_far_from_its_float32_is_said_to_be_bad(run, manifest, tmp_path):
    """Boxes twice as large: each corner moves by its distance to the cell's centre, half a diagonal or so."""
    fp32 = run / "export" / "detector.onnx"
    images = pipeline_inputs(fp32, "detector", manifest, [0])[:1]
    same = compare_int8(fp32, fp32, "detector", images)
    assert same == {"moved": 0, "score_difference": 0, "checked_images": 1, "quantises_badly": False}
    model = onnx.load(fp32)
    (bias,) = (entry for entry in model.graph.initializer if entry.name.endswith("detector.box.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(np.log(2)), bias.name))
    onnx.save(model, tmp_path / "large.onnx")
    report = compare_int8(fp32, tmp_path / "large.onnx", "detector", images)
    assert 0.45 < report["moved"] < 0.6 and report["score_difference"] == 0 and report["quantises_badly"]


def test_the_files_that_ship_are_small_and_of_the_same_weights_as_the_float32_ones():
    assert sum(int8_file(path).stat().st_size for path in PRETRAINED) < 1e6
    for path in PRETRAINED:
        before, after = (
            {entry.name: numpy_helper.to_array(entry) for entry in onnx.load(file).graph.initializer}
            for file in (path, int8_file(path))
        )
        shared = [name for name in before.keys() & after.keys() if before[name].ndim == 4]
        assert len(shared) >= 3  # the first convolutions and the heads
        for name in shared:
            np.testing.assert_array_equal(after[name], before[name])
    scene = render_scene(4)
    first, second = (EarPipeline.pretrained(int8=int8, threads=1)(scene.image) for int8 in (False, True))
    assert len(first) == len(second) == 1
    for ear, ear_int8 in zip(first, second, strict=True):
        assert ear_int8.score == pytest.approx(ear.score, abs=0.02)
        diagonal = np.linalg.norm(np.ptp(ear.points_px, axis=0))
        assert np.linalg.norm(ear_int8.points_px - ear.points_px, axis=1).mean() < 0.01 * diagonal
