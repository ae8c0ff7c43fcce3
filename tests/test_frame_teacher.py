"""The teacher of frames: what it is, how it is trained, how it reads a photograph many times."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from configs.build import configured
from configs.errors import UserError
from data import crops
from data.augmentation import FrameConfig
from data.manifest import Manifest, write_manifest
from data.transforms import FrameAugmentation
from distill import cache
from distill.teacher_maps.store import KeptMaps
from students.evaluation.box_finders import find_boxes, load_box_finder
from teacher.checkpoint import save_weights
from teacher.frames.__main__ import Config, main
from teacher.frames.batches import FrameViews
from teacher.frames.module import FrameTeacherModule
from teacher.frames.options import MachineOptions, ScheduleOptions
from teacher.frames.reading import fused, read_frame
from teacher.models.dense.frame_teacher import FrameTeacher
from tests.drawn_ears import draw_ears
from tests.tiny_students import rectangle_frame, tiny_detector

EARS = [(20, 15, 50, 60), None, (40, 30, 66, 70), (10, 40, 30, 80)]


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    """A teacher with random weights in all of it, as a checkpoint."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "best.ckpt"
    teacher = FrameTeacher(pretrained=False, width=16, image_px=96)
    teacher.crops = Manifest(np.empty(0, str), np.empty((0, 4))).crops
    return save_weights(path, teacher, "FrameTeacher")


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for number, box in enumerate(EARS):
        cv2.imwrite(str(folder / f"{number}.png"), rectangle_frame(box, seed=number))
    boxes = np.array([box for box in EARS if box], np.float32)
    paths = np.array([str(folder / f"{number}.png") for number, box in enumerate(EARS) if box])
    empty = np.array([str(folder / "1.png")])
    return write_manifest(folder / "frames.npy", Manifest(paths, boxes, empty_images=empty))


def test_it_gives_a_score_and_a_box_for_each_cell_at_any_size():
    teacher = FrameTeacher(pretrained=False, width=16).eval()
    for side_px in (64, 128):
        logits, boxes = teacher(torch.rand(2, 3, side_px, side_px))
        assert logits.shape == (2, (side_px // 8) ** 2) and boxes.shape == (2, (side_px // 8) ** 2, 4)
    assert teacher.features(torch.rand(1, 3, 96, 64)).shape == (1, 16, 12, 8)


@pytest.mark.parametrize("frozen", [0, 5, None])
def test_frozen_stages_do_not_learn_and_keep_their_statistics(frozen):
    module = FrameTeacherModule(
        FrameTeacher(pretrained=False, width=16, freeze_layers=frozen), steps=10, lr=0.1, layer_decay=0.5
    )
    model, backbone = module.model.train(), module.model.backbone
    blocks = len(backbone.blocks())
    still = blocks if frozen is None else frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = {
        "image": torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8),
        "boxes_xyxy": [torch.tensor([[10.0, 10, 40, 50]]), torch.empty(0, 4)],
        "ignored_boxes_xyxy": [torch.empty(0, 4)] * 2,
    }
    module.log_dict = lambda *_, **__: None
    module.training_step(batch, 0).backward()
    module._trainer = type("Trainer", (), {"precision": "32"})()
    module.configure_optimizers().step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    prefixes = [f"pyramid.trunk.backbone.net.blocks.{number}." for number in range(blocks)]
    for number, prefix in enumerate(prefixes):
        assert any(name.startswith(prefix) for name in moved) == (number >= still), prefix
    assert any(name.startswith("pyramid.trunk.backbone.net.conv_stem") for name in moved) == (still == 0)
    assert any(name.startswith("score_tower") for name in moved)


def test_each_stage_learns_slower_than_the_one_above_it():
    module = FrameTeacherModule(
        FrameTeacher(pretrained=False, width=16, freeze_layers=0), steps=10, lr=0.1, layer_decay=0.5
    )
    module._trainer = type("Trainer", (), {"precision": "32"})()
    scale_of = {
        id(parameter): group["lr_scale"]
        for group in module.configure_optimizers().param_groups
        for parameter in group["params"]
    }
    backbone = module.model.backbone
    blocks = backbone.blocks()
    expected = [0.5 ** (len(blocks) - number) for number in range(len(blocks))]
    assert [scale_of[id(next(block.parameters()))] for block in blocks] == pytest.approx(expected)
    assert scale_of[id(backbone.net.conv_stem.weight)] == pytest.approx(0.5 ** (len(blocks) + 1))
    assert scale_of[id(module.model.score.weight)] == 1
    assert len(scale_of) == sum(parameter.requires_grad for parameter in module.model.parameters())


def test_a_backbone_of_one_map_is_refused():
    with pytest.raises(UserError, match=r"'sam': a teacher of frames needs maps at strides .* resnet50"):
        FrameTeacher("sam", pretrained=False)


class Sees(nn.Module):
    """Says of every image that one box, given in fractions of its side, holds an ear of some score."""

    def __init__(self, box, score):
        super().__init__()
        self.box, self.logit = torch.tensor(box), torch.logit(torch.tensor(score))

    def forward(self, images):
        box = (self.box * images.shape[-1]).expand(len(images), 1, 4)
        return self.logit.expand(len(images), 1), box


def test_readings_come_back_to_the_photograph_and_mirrored_ones_are_mirrored_back():
    rgb = np.zeros((200, 400, 3), np.uint8)
    boxes, scores = read_frame(Sees([0.1, 0.3, 0.3, 0.7], 0.8), rgb, sides_px=(64, 128))
    # a letterbox of a 400 x 200 frame has borders of a quarter of its side above and below
    np.testing.assert_allclose(boxes, [[40, 20, 120, 180], [280, 20, 360, 180]], atol=0.01)
    assert scores == pytest.approx([0.8, 0.8])  # each seen by half of the readings, which is all that counts


def test_fused_boxes_by_hand():
    first = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], float), np.array([0.9, 0.4])
    second = np.array([[0, 0, 12, 10]], float), np.array([0.3])
    third = np.empty((0, 4)), np.empty(0)
    boxes, scores = fused([first, second, third, third])
    # weights 0.9 and 0.3; the score is the mean of the best two of four, where unseen counts 0
    np.testing.assert_allclose(boxes, [[0, 0, 10.5, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(scores, [0.6, 0.2])
    assert fused([third])[0].shape == (0, 4)


def test_one_reading_brings_an_ear_once():
    twice = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], float), np.array([0.9, 0.8])
    boxes, scores = fused([twice])
    assert scores == pytest.approx([0.9]) and len(boxes) == 1


def test_a_detector_that_knows_rectangles_finds_them_in_any_reading():
    ((boxes, scores),) = [read_frame(tiny_detector(), rectangle_frame(EARS[0]), sides_px=(96,))]
    np.testing.assert_allclose(boxes[:1], [EARS[0]], atol=5)
    assert scores[0] > 0.5


def test_batches_share_out_manifests_evenly_and_ignore_unsure_boxes(frames):
    from data.manifest import read_manifest

    sure = read_manifest(frames)
    unsure = Manifest(sure.image_paths, sure.boxes_xyxy, scores=np.full(len(sure), 0.4))
    still = FrameConfig(chips=0, focus=0, flip=0, scale_min=1, scale_max=1, shift=0, chip_px=32)
    views = FrameViews([sure, unsure], 96, FrameAugmentation(still, 96), batch_size=7, seed=0)
    assert views.shares == [4, 3]
    batch = views[0]
    assert batch["image"].shape == (7, 3, 96, 96)
    assert sum(map(len, batch["boxes_xyxy"][:4])) == 3 and sum(map(len, batch["ignored_boxes_xyxy"][:4])) == 0
    assert sum(map(len, batch["boxes_xyxy"][4:])) == 0 and sum(map(len, batch["ignored_boxes_xyxy"][4:])) == 3


def test_boxes_turn_as_ellipses_do():
    box = np.array([[10, 20, 50, 30]], np.float32)
    quarter = crops.rotation_matrix(np.pi / 2, np.array([29.5, 24.5]))
    np.testing.assert_allclose(crops.apply_to_ellipses(quarter, box), [[25, 5, 35, 45]], atol=1e-4)
    angle = np.linspace(0, 2 * np.pi, 20001)
    outline = np.stack([30 + 20 * np.cos(angle), 25 + 5 * np.sin(angle)], axis=1) - 0.5
    turned = crops.rotation_matrix(0.6, np.array([0.0, 0.0]))
    moved = crops.apply(turned, outline) + 0.5
    expected = np.concatenate([moved.min(axis=0), moved.max(axis=0)])
    np.testing.assert_allclose(crops.apply_to_ellipses(turned, box)[0], expected, atol=1e-3)


def test_turned_views_show_the_ear_where_the_box_says():
    frame = rectangle_frame((40, 30, 60, 70))
    turning = FrameAugmentation(FrameConfig(rotate_deg=60, chip_px=64, chips=1), 96)
    seen = [turning(frame, np.array([[40, 30, 60, 70]]), seed, 64) for seed in range(40)]
    turned = [view for view in seen if abs(view.matrix[0, 1]) > 0.1]
    assert 8 < len(turned) < 32  # half of them
    for view in turned:
        bright = np.argwhere(view.image.mean(axis=2) > 130)[:, ::-1]
        for x1, y1, x2, y2 in view.boxes_xyxy:
            centre = bright.mean(axis=0)
            assert x1 - 2 < centre[0] < x2 + 2 and y1 - 2 < centre[1] < y2 + 2


@pytest.mark.trains
def test_training_writes_what_later_stages_take_and_resumes(frames, teacher_file, tmp_path, monkeypatch):
    monkeypatch.setattr("teacher.frames.fit.FrameTeacher", small_teacher)
    config = Config(
        (frames,),
        frames,
        tmp_path,
        teacher_file,
        frame=FrameConfig(chip_px=64),
        schedule=ScheduleOptions(steps=8, batch_size=2),
        machine=MachineOptions(num_workers=0, resume="auto"),
    )
    folder = main(config)
    assert {"best.ckpt", "last.ckpt", "metrics.json", "metrics.csv"} <= {
        path.name for path in folder.iterdir()
    }
    finder = load_box_finder(folder / "best.ckpt")
    ((boxes, scores),) = find_boxes(finder, [rectangle_frame(EARS[0])])
    assert boxes.shape == (len(scores), 4)
    assert main(config) == folder  # nothing is left to do


def small_teacher(backbone="efficientnet_lite0", **options):
    return FrameTeacher(backbone, **{**options, "width": 16, "image_px": 96})


def test_weights_of_another_backbone_are_refused(teacher_file):
    from teacher.frames.fit import first_teacher

    with pytest.raises(UserError, match="stands on efficientnet_lite0, wanted is resnet50"):
        first_teacher("resnet50", None, teacher_file, with_weights=False)


def test_its_maps_are_kept_like_any_teachers(teacher_file, tmp_path):
    draw_ears(tmp_path, "frames", photographs=3, seed=0)
    frames = tmp_path / "frames.npy"
    options = {"checkpoint": teacher_file, "train_npy": frames, "grid": 8, "views": 2, "num_workers": 0}
    for layer, channels in (("fused", 16), ("stage16", 112)):
        folder = cache.main(configured(cache.Config, layer=layer, output_dir=tmp_path / layer, **options))
        kept = KeptMaps(folder)
        assert kept.read(0, 0).shape == (channels, 8, 8)
    with pytest.raises(UserError, match="layer 'feat1' is not a map of this teacher; it has stage8"):
        cache.main(configured(cache.Config, layer="feat1", output_dir=tmp_path / "none", **options))
