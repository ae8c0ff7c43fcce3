"""The manifest: what goes in comes out, and nothing that could run code comes in."""

import contextlib
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.errors import UserError
from data.manifest import Manifest, join_manifests, read_manifest, write_manifest


def example(ears: int = 3, points: int = 17) -> Manifest:
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0, 100, (ears, points, 2)).astype(np.float32)
    visibility = np.tile(np.array([0, 1, 2] + [2] * (points - 3), dtype=np.uint8), (ears, 1))
    return Manifest(
        image_paths=np.array([f"/photos/{i}.jpg" for i in range(ears)]),
        boxes_xyxy=np.tile([1.5, 2.0, 30.25, 50.0], (ears, 1)),
        landmarks=landmarks,
        visibility=visibility,
        sources=np.array([f"person {i // 2}" for i in range(ears)]),
        empty_images=np.array(["/photos/wall.jpg"]),
    )


def save_raw(path: Path, content: object) -> Path:
    """As users write manifests: `np.save` of a dict."""
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    written = example()
    read = read_manifest(write_manifest(tmp_path / "train.npy", written))
    assert read.image_paths.tolist() == written.image_paths.tolist()
    assert read.empty_images.tolist() == ["/photos/wall.jpg"]
    assert read.sources.tolist() == ["person 0", "person 0", "person 1"]
    np.testing.assert_array_equal(read.boxes_xyxy, written.boxes_xyxy)
    np.testing.assert_array_equal(read.visibility, written.visibility)
    np.testing.assert_array_equal(read.landmarks, written.landmarks)
    assert np.isnan(read.landmarks[:, 0]).all()
    assert np.isfinite(read.landmarks[:, 1:]).all()
    assert read.boxes_xyxy.dtype == np.float32
    assert read.visibility.dtype == np.uint8


def test_scores_of_boxes_are_kept(tmp_path: Path) -> None:
    found = replace(example(), scores=np.array([0.25, 1.0, 0.5]))
    read = read_manifest(write_manifest(tmp_path / "found.npy", found))
    assert read.scores.tolist() == [0.25, 1.0, 0.5]
    assert read.select([2, 0]).scores.tolist() == [0.5, 0.25]
    assert join_manifests([read, example()]).scores.tolist() == [0.25, 1.0, 0.5, 1, 1, 1]
    assert join_manifests([example(), example()]).scores is None
    for scores, complaint in (
        (np.array([0.5, 0.5, 1.5]), "from 0 to 1"),
        (np.array([0.5]), r"expected \(3\)"),
    ):
        with pytest.raises(UserError, match=complaint):
            replace(example(), scores=scores)


def test_numpy_reads_it_as_the_dict_users_know(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.npy", example())
    content = np.load(tmp_path / "train.npy", allow_pickle=True).item()
    assert content["bboxes"].shape == (3, 4)
    assert content["image_paths"][0] == "/photos/0.jpg"


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    paths = np.array([str(first / "images" / "a.jpg"), "/elsewhere/b.jpg"])
    write_manifest(first / "train.npy", Manifest(paths, np.tile([0, 0, 9, 9], (2, 1))))
    os.rename(first, second)
    read = read_manifest(second / "train.npy").image_paths.tolist()
    assert read == [str(second / "images" / "a.jpg"), "/elsewhere/b.jpg"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_and_any_pickle_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    content = {
        "image_paths": ["a.jpg", "b.jpg"],
        "bboxes": [[0, 0, 5, 5], [np.float32(1), np.int64(1), 5, 5]],
        "landmarks": np.asfortranarray(np.ones((2, 17, 2))),
        "extra": {"made": "by hand", "numbers": (1, 2.5, None, True)},
    }
    path = tmp_path / "train.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol=protocol)
    read = read_manifest(path)
    assert read.image_paths.tolist() == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert (read.visibility == 2).all()


def test_names_of_numpy_1_pickles_are_known(tmp_path: Path) -> None:
    boxed = np.array({"image_paths": ["a.jpg"], "bboxes": np.ones((1, 4)) * [1, 1, 2, 2]}, dtype=object)
    old = pickle.dumps(boxed, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path = tmp_path / "old.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(old)
    assert len(read_manifest(path)) == 1


class Evil:
    """Unpickling this freely would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def test_a_pickled_object_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = {"image_paths": ["a.jpg"], "bboxes": np.ones((1, 4)), "extra": Evil(trap)}
    path = save_raw(tmp_path / "train.npy", content)
    with pytest.raises(UserError, match=r"train\.npy: the pickle asks for .*mkdir.*numpy arrays, strings"):
        read_manifest(path)
    assert not trap.exists()
    np.load(path, allow_pickle=True)  # the trap is a real one
    assert trap.exists()


@pytest.mark.parametrize("thing", [OrderedDict(a=1), Path("a"), np.random.default_rng(0), len, sys.exit])
def test_other_objects_are_refused(tmp_path: Path, thing: object) -> None:
    path = save_raw(tmp_path / "train.npy", {"image_paths": thing})
    with pytest.raises(UserError, match=r"the pickle asks for"):
        read_manifest(path)


def test_a_truncated_manifest_is_a_clear_error_at_every_length(tmp_path: Path) -> None:
    whole = write_manifest(tmp_path / "train.npy", example()).read_bytes()
    path = tmp_path / "cut.npy"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.npy: no readable \.npy manifest"):
            read_manifest(path)


def test_noise_in_a_manifest_never_does_worse_than_an_error(tmp_path: Path) -> None:
    whole = write_manifest(tmp_path / "train.npy", example()).read_bytes()
    path = tmp_path / "noise.npy"
    rng = np.random.default_rng(0)
    for _ in range(300):
        noisy = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            noisy[at] = rng.integers(0, 256)
        path.write_bytes(noisy)
        with contextlib.suppress(UserError):
            read_manifest(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.npy: no such manifest"):
        read_manifest(tmp_path / "nowhere.npy")
    with pytest.raises(UserError, match="is a folder"):
        read_manifest(tmp_path)


def test_a_plain_array_and_a_misspelt_key_are_explained(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"holds a ndarray, expected a dict with image_paths"):
        read_manifest(tmp_path / "plain.npy")
    path = save_raw(tmp_path / "train.npy", {"image_path": ["a.jpg"], "bboxes": np.ones((1, 4))})
    with pytest.raises(UserError, match=r"no key 'image_paths'.*Did you mean 'image_path'"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([5, 5, 5, 9], "box of zero area"),
        ([9, 5, 5, 9], "inverted box"),
        ([np.nan, 5, 8, 9], "box with NaN"),
        ([0, 5, np.inf, 9], "box with NaN or infinity"),
    ],
)
def test_impossible_boxes_name_the_row(tmp_path: Path, box: list, message: str) -> None:
    boxes = np.array([[0, 0, 4, 4], box])
    path = save_raw(tmp_path / "train.npy", {"image_paths": ["a.jpg", "b.jpg"], "bboxes": boxes})
    with pytest.raises(UserError, match=rf"{message}.*1 of 2 rows, first row 1 \(.*b\.jpg.*data\.prepare"):
        read_manifest(path)
    assert len(read_manifest(path, check=False)) == 2


def test_nan_points_and_wrong_counts_are_explained(tmp_path: Path) -> None:
    content = {"image_paths": ["a.jpg"], "bboxes": [[0, 0, 4, 4]], "landmarks": np.full((1, 17, 2), 2.0)}
    content["visibility"] = np.full((1, 17), 2)
    content["landmarks"][0, 3] = np.nan
    with pytest.raises(UserError, match="annotated point with NaN"):
        read_manifest(save_raw(tmp_path / "nan.npy", content))
    content["visibility"][0, 3] = 0
    assert read_manifest(save_raw(tmp_path / "ok.npy", content)).visibility[0, 3] == 0
    with pytest.raises(UserError, match=r"ok\.npy: has 17 points an ear, expected 21"):
        read_manifest(tmp_path / "ok.npy", num_landmarks=21)
    content["visibility"] = np.full((1, 16), 2)
    with pytest.raises(UserError, match=r"visibility has shape \(1, 16\), expected \(1, 17\)"):
        read_manifest(save_raw(tmp_path / "short.npy", content))
    boxes_only = {key: content[key] for key in ("image_paths", "bboxes")}
    with pytest.raises(UserError, match="has no landmarks, but 17"):
        read_manifest(save_raw(tmp_path / "boxes.npy", boxes_only), num_landmarks=17)


def test_lengths_must_agree_and_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bboxes has shape \(2, 4\), expected \(1, 4\)"):
        read_manifest(save_raw(tmp_path / "a.npy", {"image_paths": ["a"], "bboxes": np.ones((2, 4))}))
    with pytest.raises(UserError, match="holds no ears and no images"):
        read_manifest(save_raw(tmp_path / "b.npy", {"image_paths": [], "bboxes": []}))


def test_a_full_disk_leaves_the_old_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_manifest(tmp_path / "train.npy", example())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"train\.npy.*disk is full"):
        write_manifest(path, example(ears=1))
    assert len(read_manifest(path)) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["train.npy"]


def test_joining_keeps_rows_and_fills_missing_points() -> None:
    with_points = example(ears=2)
    boxes_only = Manifest(np.array(["/c.jpg"]), np.array([[0, 0, 7, 7]]))
    joined = join_manifests([boxes_only, with_points])
    assert joined.image_paths.tolist() == ["/c.jpg", "/photos/0.jpg", "/photos/1.jpg"]
    assert joined.sources.tolist() == ["/c.jpg", "person 0", "person 0"]
    assert (joined.visibility[0] == 0).all()
    np.testing.assert_array_equal(joined.landmarks[1:], with_points.landmarks)
    with pytest.raises(UserError, match=r"\[5, 17\] landmarks cannot be joined"):
        join_manifests([example(points=5), with_points])


def test_select_takes_rows_in_order() -> None:
    picked = example().select([2, 0])
    assert picked.image_paths.tolist() == ["/photos/2.jpg", "/photos/0.jpg"]
    assert len(picked.empty_images) == 0
    assert len(example().select([])) == 0


def test_importing_data_is_light() -> None:
    heavy = ["torch", "cv2", "albumentations", "pytorch_lightning", "scipy"]
    code = f"import data, sys; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_what_is_no_character_is_refused(tmp_path):
    paths = np.array(["a.jpg", "b.jpg"])
    paths.view(np.uint32)[3] = 0x110000
    with pytest.raises(UserError, match="no character"):
        Manifest(paths, np.tile([0, 0, 9, 9], (2, 1)))
    swapped = np.array(["a.jpg", "b.jpg"]).astype(">U5")
    assert Manifest(swapped, np.tile([0, 0, 9, 9], (2, 1))).image_paths.tolist() == ["a.jpg", "b.jpg"]
