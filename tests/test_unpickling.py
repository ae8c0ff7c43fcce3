"""Manifests as strangers may send them: broken or made to harm, and as old versions of numpy wrote them."""

from __future__ import annotations

import base64
import os
import pickle
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from configs.errors import UserError
from data.manifest import read_manifest
from data.safe_pickle import load_object

PROJECT = Path(__file__).resolve().parent.parent
HEADER = {"descr": "|O", "fortran_order": False, "shape": ()}
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
# np.save of a dict by numpy 1.26.4: image_paths of dtype object ("a.jpg", "pics/ü.jpg"), bboxes float64,
# landmarks float32 0..11 as (2, 3, 2), visibility int64, a scalar
BY_NUMPY_1 = (
    "c-p0s%Wl&^6o$u6TN;;3x!;Q^7dsHr00lxRO{yRkSft1jl3Ac=>`ZGzF8=LFMMNuQ(}b>h0Um?}5--xnU<c#dqJ^$F((j{l=3G9__"
    "-o_s>o@NtvPnK`EfzX~wxnuXYg$p&)_VaDXt&u5S}aPxr0tN2eCSf2iC8Zb)ou0vOc~~!ZolIXN=`3erB1)iJsJdbpfm&K^tvGr`V"
    "Ln>k}9R!N=_jeWCwCxvXL8O!o;L*NQJbh#Roo9FlEVvkhKbq?0y+z+C*MAa+V}=TTmK}#;f1L;*U|~n6Y=?<LEYy>DG)W@j7&aHGR"
    "t65XW8O#`{jVV%e;TlVX`6@8Fc17fq*iYf^O3(g%M7XX0+(bHat6-{Z_##&OQJrbODdd!JZ{^Vz%$(Y%W$F2(bVi4iWl3H5pfS0d`"
    "GCgw8gWn9}&O*mA0w_YQ${i-IOr147XU!?w^&DS!I>m2j8l@~#qc3T}9d<=0TgS;6*-ZF7Jfy^257+Qw82tC3qn7AV_-M<0v3czx*"
    "Xjo0)YC=PyZ$dwW_9Bo~LS}_jq4Fw<9QSNX5&2Co^lY!~@c~L1(LzL2HgP{C8sS08<5lo5;#oBD=-)h#BOW=u0_nh&$cK15;i%a0D"
    "~AqkGdw-yr;Sc&pkT?Jt4}ArdsRFeVcEp<KIK@kOMd`b?B-_"
)
FLIP_EVERY_BIT = """
import sys
from pathlib import Path
from configs.errors import UserError
from data.manifest import read_manifest

good, case = map(Path, sys.argv[1:])
whole, outcomes = good.read_bytes(), {"read": 0, "refused": 0}
for bit in range(8 * 128, 8 * len(whole)):  # behind numpy's header
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    case.write_bytes(flipped)
    try:
        read_manifest(case, check=False)
        outcomes["read"] += 1
    except UserError:
        outcomes["refused"] += 1
print(outcomes["read"] + outcomes["refused"] == 8 * len(whole) - 8 * 128, outcomes["refused"] > 100)
"""


def save_pickle(path: Path, code: bytes) -> Path:
    """An `.npy` file with this pickle in it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, HEADER)
        file.write(code)
    return path


def manifest_with_paths(array: bytes) -> bytes:
    """A pickle of a manifest whose image_paths are `array`, in protocol 0."""
    return b"}S'image_paths'\n" + array + b"sS'bboxes'\n(l(lI1\naI1\naI9\naI9\naas."


def test_a_file_of_numpy_1_with_an_array_of_string_objects(tmp_path: Path) -> None:
    path = tmp_path / "old.npy"
    path.write_bytes(zlib.decompress(base64.b85decode(BY_NUMPY_1)))
    read = read_manifest(path)
    assert read.image_paths.tolist() == [str(tmp_path / "a.jpg"), str(tmp_path / "pics/ü.jpg")]
    assert read.boxes_xyxy.tolist() == [[1.5, 2, 30, 40], [0, 0, 9, 9]]
    assert read.visibility.tolist() == [[2, 1, 0], [2, 2, 2]]
    assert read.landmarks[1].tolist() == [[6, 7], [8, 9], [10, 11]]
    assert load_object(path)["scale"] == 0.5


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back_as_numpy_would_read_them(tmp_path: Path, protocol: int) -> None:
    content = {
        "f2": np.arange(6, dtype="f2").reshape(2, 3),
        "big end": np.array([1.5, -2], dtype=">f8"),
        "columns first": np.asfortranarray(np.arange(6, dtype="u2").reshape(2, 3)),
        "strided": np.arange(10)[::3],
        "bool": np.array([True, False]),
        "text": np.array(["ä", "longer"]),
        "bytes": np.array([b"ab", b"c"]),
        "none": np.empty((0, 4)),
        "objects": np.array(["a", None, 2.5, [1, 2]], dtype=object),
        "numbers": [np.float32(0.5), np.int64(-(2**40)), np.bool_(True), np.str_("x"), 2**70, -1, "\x00\n'"],
        "large": np.arange(20000),
    }
    path = tmp_path / "a.npy"
    boxed = np.empty((), dtype=object)
    boxed[()] = content
    save_pickle(path, pickle.dumps(boxed, protocol=protocol))
    read = load_object(path)
    assert list(read) == list(content)
    for key, wanted in content.items():
        got = read[key]
        assert type(got) is type(wanted)
        if isinstance(wanted, np.ndarray):
            assert got.shape == wanted.shape
            assert got.dtype == wanted.dtype.newbyteorder("=")
            assert got.tolist() == wanted.tolist()
            assert got.dtype == object or got.flags.writeable
        else:
            assert got == wanted
            assert [type(item) for item in got] == [type(item) for item in wanted]


def test_every_flipped_bit_is_read_or_refused(tmp_path: Path) -> None:
    """In a process of its own, which the object pointers of numpy's own reader would have killed."""
    paths = np.array(["a.jpg"])
    np.save(tmp_path / "good.npy", {"image_paths": paths, "bboxes": np.float32([[1, 1, 9, 9]])})
    command = [sys.executable, "-W", "ignore", "-c", FLIP_EVERY_BIT, "good.npy", "case.npy"]
    run = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )
    assert (run.stdout.strip(), run.returncode) == ("True True", 0), run.stderr


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = zlib.decompress(base64.b85decode(BY_NUMPY_1))
    for length in range(len(whole)):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        with pytest.raises(UserError, match="no readable"):
            load_object(tmp_path / "cut.npy")


def array_state(kind: bytes, byte_order: bytes, shape: bytes, content: bytes) -> bytes:
    """An array's description in protocol 0; shape such as I3, content an instruction that pushes it."""
    numpy_type = b"cnumpy\ndtype\n(S'" + kind + b"'\nI00\nI01\ntR(I3\nS'" + byte_order
    return ARRAY + b"(I1\n(" + shape + b"\nt" + numpy_type + b"'\nNNNI-1\nI-1\nI0\ntbI00\n" + content + b"tb"


@pytest.mark.parametrize(
    "array",
    [
        array_state(b"O8", b"|", b"I1", b"S'AAAAAAAA'\n"),  # eight bytes as an object pointer
        array_state(b"M8", b"<", b"I1", b"S'AAAAAAAA'\n"),
        array_state(b"V8", b"|", b"I1", b"S'AAAAAAAA'\n"),
        array_state(b"f4", b"<", b"I300000000", b"S'AAAA'\n"),  # 3e8 rows
        array_state(b"U0", b"<", b"I300000000", b"S''\n"),
        array_state(b"U1", b"<", b"I300000000", b"S''\n"),
        array_state(b"O8", b"|", b"I300000000", b"(l"),
        array_state(b"f4", b"<", b"I-1", b"S'AAAA'\n"),
        array_state(b"f5", b"<", b"I1", b"S'AAAAA'\n"),
        array_state(b"U1", b"<", b"I1", b"S'\\xff\\xff\\xff\\x7f'\n"),  # beyond the last character
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\n(S'f4'\ntR(S'f4'\nd0b",
        ARRAY + b"(dS'__class__'\nI0\nsb",
    ],
)
def test_descriptions_that_would_harm(tmp_path: Path, array: bytes) -> None:
    path = save_pickle(tmp_path / "bad.npy", manifest_with_paths(array))
    with pytest.raises(UserError, match=r"bad\.npy: no readable \.npy manifest"):
        read_manifest(path)


def bombs() -> dict[str, bytes]:
    """Small files that ask for much."""
    doubled = b"(lp0\n" + b"".join(b"0(lp%d\ng%d\nag%d\na" % (n, n - 1, n - 1) for n in range(1, 30))
    return {
        "a list doubled 29 times": doubled + b".",
        "one long string many times": b"(lp0\n0V" + b"x" * 60000 + b"\np1\n0g0\n" + b"g1\na" * 60000 + b".",
        "3e9 bytes": b"\x80\x04B\x00\x00\x00\xb0AAAA.",
        "8 EB of text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fAA.",
        "a far place in the memo": b"]r\xff\xff\xff\x7f.",
        "a number of 4 GB": b"\x8b\xff\xff\xff\x7fAAAA.",
        "nested lists": b"(" * 200_000 + b"l" * 200_000 + b".",
        "bytes made again and again": b"V" + b"x" * 60000
        + b"\np0\n0c_codecs\nencode\np1\n0(" + b"g1\n(g0\nS'latin1'\ntR" * 10000 + b"l.",
    }  # fmt: skip


@pytest.mark.parametrize("name", bombs())
def test_what_is_declared_is_not_allocated(tmp_path: Path, name: str) -> None:
    path = save_pickle(tmp_path / "bomb.npy", bombs()[name])
    before_kb, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError, match=r"bomb\.npy"):
        load_object(path)
    assert time.process_time() - began < 5  # a second on a quiet machine
    scale = 1024 if sys.platform == "linux" else 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) * scale < 500e6


def test_a_plain_array_that_declares_more_rows_than_it_has(tmp_path: Path) -> None:
    with (tmp_path / "many.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (300_000_000,)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match=r"declares 2,400,000,000 bytes of values, 0 are there"):
        load_object(tmp_path / "many.npy")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(UserError, match="is no regular file"):
        load_object(tmp_path / "pipe.npy")


@pytest.mark.parametrize("name", ["a\x00b.jpg", "a\ud800.jpg"])
def test_a_path_with_what_no_file_name_has(tmp_path: Path, name: str) -> None:
    for paths in ([name, "b.jpg"], np.array([name, "b.jpg"]), np.array([name, "b.jpg"], dtype=object)):
        np.save(tmp_path / "a.npy", {"image_paths": paths, "bboxes": [[1, 1, 9, 9]] * 2})
        with pytest.raises(UserError, match="image_paths holds what is no character, first in row 0"):
            read_manifest(tmp_path / "a.npy")


def test_a_file_name_of_other_bytes_than_utf8_is_one(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    np.save(tmp_path / "a.npy", {"image_paths": [name], "bboxes": [[1, 1, 9, 9]]})
    assert os.fsencode(read_manifest(tmp_path / "a.npy").image_paths[0]).endswith(b"caf\xe9.jpg")


def test_keys_that_are_no_text(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", {"image_paths": ["a.jpg"], "bboxes": [[1, 1, 9, 9]], 3: "three"})
    with pytest.raises(UserError, match="its keys must be text"):
        read_manifest(tmp_path / "a.npy")
