"""Kept maps: read equals written, interrupted work resumes, what does not belong is refused."""

import json
import pickle

import numpy as np
import pytest

from configs.errors import UserError
from distill.teacher_maps.store import INDEX, KeptMaps, MapWriter, Shard, bytes_needed

SHAPE = (5, 2, 3, 4, 4)
SETTINGS = {"layer": "feat1", "grid": 4, "teacher_sha256": "aa", "view": {"out_px": 128}}


def _maps(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def _write(writer: MapWriter, maps: np.ndarray, shards: list[int]) -> None:
    for shard in shards:
        rows = list(writer.rows(shard))
        crc = np.array(rows, np.uint32)[:, None] * 10 + np.arange(SHAPE[1], dtype=np.uint32)
        predictions = {"points_unit": np.float32(rows)[:, None]}
        matrix = np.arange(6, dtype=np.float32).reshape(2, 3) + np.float32(rows)[:, None, None, None]
        matrix = np.repeat(matrix, SHAPE[1], axis=1)
        writer.write(shard, Shard(maps[rows], crc, matrix, predictions))


@pytest.fixture
def folder(tmp_path):
    writer = MapWriter(tmp_path, SETTINGS, SHAPE, crops_per_shard=2)
    _write(writer, _maps(), writer.unfinished())
    writer.finish({"note": "extra"})
    return tmp_path


def test_what_is_read_is_what_was_written(folder):
    kept, maps = KeptMaps(folder), _maps()
    assert (kept.crops, kept.views, kept.channels, kept.grid, kept.layer) == (5, 2, 3, 4, "feat1")
    for row in range(5):
        for view in range(2):
            assert np.array_equal(kept.read(row, view), maps[row, view])
    assert isinstance(kept.read(0, 0), np.memmap)
    assert kept.view_crc32[3].tolist() == [30, 31]
    assert kept.view_matrices.shape == (5, 2, 2, 3)
    assert kept.view_matrices[3, 1].tolist() == [[3, 4, 5], [6, 7, 8]]
    assert kept.predictions["points_unit"].ravel().tolist() == [0, 1, 2, 3, 4]
    kept.verify()
    assert len(pickle.dumps(kept)) < 10_000
    assert np.array_equal(pickle.loads(pickle.dumps(kept)).read(4, 1), maps[4, 1])


def test_the_statistics_are_those_of_all_maps(folder):
    kept, exact = KeptMaps(folder), _maps().astype(np.float64)
    np.testing.assert_allclose(kept.mean, exact.mean(axis=(0, 1, 3, 4)), atol=1e-6)
    np.testing.assert_allclose(kept.std, exact.std(axis=(0, 1, 3, 4)), rtol=1e-6)


def test_a_channel_that_never_moves_is_not_blown_up(tmp_path):
    maps = _maps()
    maps[:, :, 1] = 0.25
    writer = MapWriter(tmp_path, SETTINGS, SHAPE, crops_per_shard=5)
    _write(writer, maps, [0])
    writer.finish()
    kept = KeptMaps(tmp_path)
    assert kept.std[1] == 1.0
    assert kept.mean[1] == pytest.approx(0.25)


def test_finished_shards_are_kept_and_spoilt_ones_are_not(tmp_path):
    writer = MapWriter(tmp_path, SETTINGS, SHAPE, crops_per_shard=2)
    assert writer.unfinished() == [0, 1, 2]
    _write(writer, _maps(), [0, 1])
    (tmp_path / "shard_00002.npy").write_bytes(b"half a shard, without its record")
    with pytest.raises(UserError, match="not finished"):
        KeptMaps(tmp_path)
    untouched = (tmp_path / "shard_00000.npy").stat().st_mtime_ns
    shard = tmp_path / "shard_00001.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    again = MapWriter(tmp_path, SETTINGS, SHAPE, crops_per_shard=2)
    assert again.unfinished() == [1, 2]
    _write(again, _maps(), again.unfinished())
    again.finish()
    KeptMaps(tmp_path).verify()
    assert np.array_equal(KeptMaps(tmp_path).read(3, 1), _maps()[3, 1])
    assert (tmp_path / "shard_00000.npy").stat().st_mtime_ns == untouched


def test_other_settings_in_the_same_folder_are_refused(folder):
    with pytest.raises(UserError, match=r"layer is 'feat1' there and 'dec16' now"):
        MapWriter(folder, {**SETTINGS, "layer": "dec16"}, SHAPE, crops_per_shard=2)
    with pytest.raises(UserError, match="shape"):
        MapWriter(folder, SETTINGS, (6, *SHAPE[1:]), crops_per_shard=2)


def test_maps_that_do_not_belong_to_the_student_are_refused(folder):
    kept = KeptMaps(folder)
    kept.require({"teacher_sha256": "aa", "view": {"out_px": 128}}, "the crops of train.npy")
    with pytest.raises(UserError, match=r"crops of train.npy: teacher_sha256 is 'aa' there and 'bb' here"):
        kept.require({"teacher_sha256": "bb"}, "the crops of train.npy")


def test_missing_short_and_altered_shards_are_found(folder):
    shard = folder / "shard_00001.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"\x7f")
    with pytest.raises(UserError, match=r"shard_00001.npy.*checksum"):
        KeptMaps(folder).verify()
    shard.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"shard_00001.npy has .* bytes instead of"):
        KeptMaps(folder)
    shard.unlink()
    with pytest.raises(UserError, match="missing"):
        KeptMaps(folder)


def test_a_folder_without_maps_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"distill\.cache"):
        KeptMaps(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 2"):
        KeptMaps(tmp_path)


def test_values_beyond_half_precision_are_refused(tmp_path):
    maps = _maps()
    maps[0, 0, 0, 0, 0] = np.inf
    writer = MapWriter(tmp_path, SETTINGS, SHAPE, crops_per_shard=5)
    with pytest.raises(UserError, match="not finite"):
        _write(writer, maps, [0])
    assert writer.unfinished() == [0]


def test_the_disk_needed_is_the_size_of_the_arrays(folder):
    headers = 3 * 128  # of three npy files
    on_disk = sum(path.stat().st_size for path in folder.glob("shard_*.npy"))
    assert bytes_needed(SHAPE) == on_disk - headers == 5 * 2 * 3 * 16 * 2
