"""What students.predict takes: folders of everything, streams, cameras; and the true times of frames."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from configs.flags import refuse_unknown_flags
from students.inference.files import predict_file
from students.inference.inputs import Input, find_inputs, passed_over
from students.inference.video import VideoFrames
from students.predict import Config, main


def write_video(path: Path, codec: str = "mp4v", frames: int = 6, frames_per_s: float = 10) -> Path:
    """Frame i is grey 30 * i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), frames_per_s, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 30 * index, np.uint8))
    writer.release()
    return path


def with_durations(mp4: bytes, durations: list[int]) -> bytes:
    """The same MP4 with another time-to-sample table (ISO 14496-12, 8.6.1.2): each frame's own duration, in
    units of the media's time scale. The media stand before the tables, so no offset changes.
    """
    assert mp4.index(b"mdat") < mp4.index(b"moov")
    media_scale = struct.unpack(">I", mp4[mp4.index(b"mdhd") + 16 :][:4])[0]
    movie_scale = struct.unpack(">I", mp4[mp4.index(b"mvhd") + 16 :][:4])[0]
    out = bytearray(mp4)
    whole = sum(durations) * movie_scale // media_scale
    for name, offset, value in (
        (b"mdhd", 20, sum(durations)),
        (b"mvhd", 20, whole),
        (b"tkhd", 24, whole),
        (b"elst", 12, whole),
    ):
        place = mp4.index(name) + offset
        out[place : place + 4] = struct.pack(">I", value)
    start = mp4.index(b"stts") - 4
    size = struct.unpack(">I", mp4[start : start + 4])[0]
    table = b"stts" + bytes(4) + struct.pack(">I", len(durations))
    table += b"".join(struct.pack(">II", 1, duration) for duration in durations)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = mp4.index(name) - 4
        length = struct.unpack(">I", mp4[place : place + 4])[0]
        out[place : place + 4] = struct.pack(">I", length + len(table) + 4 - size)
    out[start : start + size] = struct.pack(">I", len(table) + 4) + table
    return bytes(out)


def video(path: Path) -> VideoFrames:
    return VideoFrames(Input("video", str(path), path.stem))


def test_each_frame_has_its_own_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    assert [time_s for time_s, _ in video(path)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    content = path.read_bytes()
    tenth = struct.unpack(">I", content[content.index(b"mdhd") + 16 :][:4])[0] // 10
    path.write_bytes(with_durations(content, [tenth, tenth, 5 * tenth, tenth, 2 * tenth, tenth]))
    frames = video(path)
    came = list(frames)
    assert [time_s for time_s, _ in came] == pytest.approx([0, 0.1, 0.2, 0.7, 0.8, 1.0])
    assert [round(rgb.mean() / 30) for _, rgb in came] == [0, 1, 2, 3, 4, 5]
    assert frames.notes(6) == []


def test_a_promise_that_is_not_kept_and_an_invented_rate_are_said(tmp_path: Path) -> None:
    frames = video(write_video(tmp_path / "a.avi", "MJPG", frames=6))
    assert frames.promised == 6
    assert frames.notes(4) == ["4 frames came of 6 that the file promises"]
    frames.rate_is_assumed, frames.frames_per_s = True, 25.0
    assert frames.notes(6) == ["no frame rate is given, 25 frames a second are assumed"]


class NothingFound:
    """A pipeline that finds no ear."""

    landmark_names, curves = (), {}

    def __call__(self, rgb: np.ndarray) -> list:
        return []


class Capture:
    """A `cv2.VideoCapture` of five frames without a rate; the fourth and fifth have no time."""

    def __init__(self, where: object) -> None:
        self._place = -1

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._place += 1
        return (True, np.zeros((4, 6, 3), np.uint8)) if self._place < 5 else (False, None)

    def get(self, what: int) -> float:
        times_ms = [500.0, 600.0, 900.0, 0.0, 0.0]
        return {cv2.CAP_PROP_POS_MSEC: times_ms[max(self._place, 0)], cv2.CAP_PROP_FRAME_COUNT: 5}.get(
            what, 0.0
        )

    def release(self) -> None:
        pass


def test_frames_without_a_time_are_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    (tmp_path / "a.mp4").touch()
    frames = video(tmp_path / "a.mp4")
    assert [time_s for time_s, _ in frames] == pytest.approx([0.5, 0.6, 0.9, 0.94, 0.98])
    assert frames.notes(5) == [
        "no frame rate is given, 25 frames a second are assumed",
        "2 frames have no time of their own, counted on by the rate",
    ]
    record = predict_file(NothingFound(), Input("video", str(tmp_path / "a.mp4"), "a"), None, {})
    assert record["frames_per_s_is_assumed"] is True
    assert len(record["notes"]) == 2
    assert [frame["time_s"] for frame in record["frames"]][2] == 0.9


@pytest.mark.parametrize(
    ("word", "kind", "where", "name"),
    [
        ("0", "camera", "0", "camera_0"),
        ("camera:1", "camera", "1", "camera_1"),
        ("/dev/video7", "camera", "7", "camera_7"),
        ("camera:/dev/video7", "camera", "7", "camera_7"),
        ("rtsp://10.0.0.5:554/live/1", "stream", None, "10.0.0.5_live_1"),
        ("RTSP://cam.local/a", "stream", None, "cam.local_a"),
        ("https://host/clip.mp4", "stream", None, "host_clip.mp4"),
        ("udp://@:5000", "stream", None, "udp"),
        ("clip.WMV", "video", None, "clip"),
        ("none.heic", "image", None, "none"),
        ("file:///x/two%20words.mp4", "video", "/x/two words.mp4", "two words"),
    ],
)
def test_streams_and_cameras_by_their_usual_spellings(
    tmp_path: Path, word: str, kind: str, where: str | None, name: str
) -> None:
    assert find_inputs([word], tmp_path) == [Input(kind, where or word, name)]


def test_what_looks_like_an_input_but_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for word, message in {
        "http://host/a.jpg": "an image on the web; download it",
        "gopher://host/a": "streams of gopher:// are not read; known are rtsp",
        "camera:front": "camera:0 is the first",
        str(tmp_path / "*.jpg"): "no file matches this pattern",
    }.items():
        with pytest.raises(UserError, match=message):
            find_inputs([word], tmp_path)
    with pytest.raises(UserError, match=r"rtsp://me:\*\*\*@127\.0\.0\.1:9/a: the stream cannot be opened"):
        VideoFrames(Input("stream", "rtsp://me:secret@127.0.0.1:9/a", "a"))
    monkeypatch.chdir(tmp_path)
    Path("-dash.jpg").touch()
    with pytest.raises(UserError, match=r"reads like a flag: give it as \./-dash\.jpg"):
        refuse_unknown_flags(Config, ["-dash.jpg"], "students.predict")
    Path("0").touch()
    assert find_inputs(["0"], tmp_path)[0].kind == "image"  # a file of that name goes first
    Path("a [1].jpg").touch()
    assert find_inputs(["a [1].jpg"], tmp_path)[0].where == "a [1].jpg"
    assert [found.where for found in find_inputs(["*.jpg"], tmp_path)] == ["-dash.jpg", "a [1].jpg"]


def test_a_folder_gives_images_and_videos_and_names_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "phone"
    folder.mkdir()
    picture = Image.new("RGB", (64, 48), (90, 120, 150))
    picture.save(folder / "1.jfif", "JPEG")
    picture.save(folder / "2.gif", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    picture.save(folder / "3", "PNG")
    write_video(folder / "clip.mp4", frames=2)
    (folder / "clip.mp4").rename(folder / "clip.3gp")
    (folder / "notes.txt").write_text("words")
    (folder / "shot.CR3").write_bytes(bytes(100))
    kinds = [(Path(found.where).name, found.kind) for found in find_inputs([str(folder)], tmp_path / "out")]
    assert kinds == [("1.jfif", "image"), ("2.gif", "image"), ("3", "image"), ("clip.3gp", "video")]
    assert passed_over([str(folder)], tmp_path / "out") == [folder / "notes.txt", folder / "shot.CR3"]
    monkeypatch.setattr("students.inference.pipeline.open_pipeline", lambda *_: NothingFound())
    main(Config((str(folder),), tmp_path / "out", overlays=False))
    result = json.loads((tmp_path / "out/predictions.json").read_text())
    assert result["passed_over"] == [str(folder / "notes.txt"), str(folder / "shot.CR3")]
    assert [record.get("notes") for record in result["inputs"]] == [
        None,
        ["the first of 2 frames or pages is read"],
        None,
        None,
    ]
    printed = capsys.readouterr()
    assert f"passed over: 2 files that are neither images nor videos: {folder / 'notes.txt'}" in printed.out
    assert "2.gif: the first of 2 frames" in printed.err
