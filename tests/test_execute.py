"""distill.pipeline.child_process and distill.pipeline.fingerprint."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from distill.pipeline.child_process import Child, wait_for_output
from distill.pipeline.fingerprint import Fingerprints


def execute(command: list[str], log_path: Path) -> int:
    child = Child(command, log_path)
    while not child.relay():
        wait_for_output([child])
    return child.close()


def test_execute_logs_lines_and_the_last_state_of_a_bar(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture
) -> None:
    program = "import sys; print('a'); sys.stderr.write('\\r10%\\r50%\\r100%\\n'); "
    program += "print('end', end=''); sys.exit(3)"
    assert execute([sys.executable, "-c", program], tmp_path / "logs/x.log") == 3
    head, *lines = (tmp_path / "logs/x.log").read_text().splitlines()
    assert sys.executable in head
    assert lines == ["a", "100%", "end"]
    assert b"\r50%" in capfdbinary.readouterr().out  # the screen sees it all


def test_execute_does_not_wait_for_what_the_command_left_behind(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('done')"
    began = time.monotonic()
    assert execute([sys.executable, "-c", program], tmp_path / "x.log") == 0
    assert time.monotonic() - began < 30


def test_fingerprints(tmp_path: Path) -> None:
    from data.manifest import Manifest, write_manifest

    image = tmp_path / "ear.jpg"
    image.write_bytes(b"ear")
    path = tmp_path / "train.npy"
    write_manifest(path, Manifest(image_paths=np.array([str(image)]), boxes_xyxy=np.array([[0, 0, 9, 9]])))
    memory = tmp_path / "memory.json"
    fingerprints = Fingerprints(memory)
    first = fingerprints.of(path)
    folder_first = fingerprints.of(tmp_path)
    fingerprints.remember()
    assert Fingerprints(memory).of(path) == Fingerprints().of(path) == first
    image.write_bytes(b"another ear")
    assert Fingerprints(memory).of(path) != first  # the manifest is the same, an image it lists is not
    assert Fingerprints().of(tmp_path) != folder_first
    np.save(tmp_path / "plain.npy", np.eye(3))
    assert Fingerprints().of(tmp_path / "plain.npy")
    with pytest.raises(FileNotFoundError):
        Fingerprints().of(tmp_path / "none")
