"""`cleanplate video`: what it prints, its exit codes, and one clip through the real door."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

SIZE_HW = (64, 96)
COLOURS = {"person": (220, 20, 20), "car": (20, 20, 220)}  # as the stand-in segmenter knows them
INTERRUPTIBLE = """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # "&" has it ignored
    from cleanplate.cli import main
    sys.exit(main())
"""


def write_frames(path, frames):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "6"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def make_clip(tmp_path, rng):
    """Return what writes a clip of 10 frames with a square for each of some things."""
    ground = rng.integers(90, 200, (*SIZE_HW, 1), np.uint8).repeat(3, axis=2)

    def make(name, *things):
        frames = []
        for number in range(10):
            image = ground.copy()
            for place, thing in enumerate(things):
                left = 4 + 7 * number
                image[5 + 30 * place : 25 + 30 * place, left : left + 20] = COLOURS[thing]
            frames.append(image)
        return write_frames(tmp_path / name, frames)

    return make


@pytest.mark.usefixtures("without_networks")
def test_a_clip_is_cleaned_and_reported(cli, make_clip, tmp_path):
    source = make_clip("in.mp4", "person")
    called = cli(
        "video", source, tmp_path / "out.mp4", "--remove", "person", "-v", "--report",
        tmp_path / "new" / "report.json",
    )  # fmt: skip
    assert called.code == 0, called.err
    # on a busy machine, lines of progress follow
    assert called.err.startswith("segmenter colours on NumPy, inpainter grey on NumPy\n")
    first, *more = called.out.splitlines()
    assert first.startswith(f"{source}: removed person in 10 frames, filled 10 of 10 frames: ")
    assert "% from other frames" in first
    assert more[0].startswith("  1 shot, 1 key frame, masks stabilised in ")
    assert more[1].startswith("  flicker ")
    assert more[2].startswith("  detect ")
    line = json.loads((tmp_path / "new" / "report.json").read_text())
    assert line["status"] == "removed"
    assert line["settings"]["classes"] == ["person"]
    assert line["output"] == str(tmp_path / "out.mp4")


@pytest.mark.usefixtures("without_networks")
def test_nothing_found_is_a_plain_copy(cli, make_clip, tmp_path):
    source = make_clip("in.mp4")
    called = cli("video", source, tmp_path / "out.mp4", "--remove", "person")
    assert (called.code, called.out) == (0, f"{source}: nothing found in 10 frames, copied\n")
    assert (tmp_path / "out.mp4").read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("without_networks")
def test_what_stays_is_reported(cli, make_clip, tmp_path):
    source = make_clip("in.mp4", "car")
    called = cli("video", source, tmp_path / "out.mp4", "--remove", "car")
    shown = f"{source}: nothing to remove in 10 frames, copied; kept car in 10 frames\n"
    assert (called.code, called.out) == (0, shown)


@pytest.mark.usefixtures("without_networks")
def test_quiet_says_nothing(cli, make_clip, tmp_path):
    called = cli("video", make_clip("in.mp4", "person"), tmp_path / "o.mp4", "--remove", "15", "-q")
    assert (called.code, called.out, called.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to remove; give --remove"),
        (["--remove", "persn"], "unknown label 'persn'"),
        (["--remove", "person", "-q", "-v"], "-q and -v exclude each other"),
        (["--remove", "person", "--crf", "99"], "crf must be in 0..51 for h264, got 99"),
        (["--remove", "person", "--inpainter", "x"], "unknown inpainter 'x'"),
        (["--remove", "person", "--like", "a.jpg"], "--like and --like-mask belong together"),
        (["--remove", "person", "--only", "1"], "No such option: --only"),
    ],
)
@pytest.mark.usefixtures("without_networks")
def test_wrong_use_is_exit_code_2(cli, make_clip, tmp_path, options, message):
    source = make_clip("in.mp4", "person")
    called = cli("video", source, tmp_path / "out.mp4", *options)
    assert called.code == 2
    assert message in called.err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.usefixtures("without_networks")
def test_a_report_never_overwrites_the_clip(cli, make_clip, tmp_path):
    source = make_clip("in.mp4", "person")
    before = source.read_bytes()
    called = cli("video", source, tmp_path / "o.mp4", "--remove", "person", "--report", source)
    assert called.code == 2
    assert "the report" in called.err
    assert source.read_bytes() == before
    (tmp_path / "a.jpg").write_bytes(b"photo")
    report = ("--report", tmp_path / "a.jpg")
    called = cli("video", source, tmp_path / "o.mp4", "--remove", "person", *report)
    assert called.code == 2
    assert "a.jpg: the report" in called.err
    assert (tmp_path / "a.jpg").read_bytes() == b"photo"


@pytest.mark.usefixtures("without_networks")
def test_a_file_that_is_no_clip_is_exit_code_1(cli, tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"no clip")
    called = cli("video", tmp_path / "in.mp4", tmp_path / "out.mp4", "--remove", "person")
    assert called.code == 1
    assert "not a readable clip" in called.err


@pytest.mark.usefixtures("without_networks")
def test_what_exists_is_replaced_only_when_asked(cli, make_clip, tmp_path):
    source = make_clip("in.mp4", "person")
    (tmp_path / "out.mp4").write_bytes(b"mine")
    words = ("video", source, tmp_path / "out.mp4", "--remove", "person")
    called = cli(*words)
    assert called.code == 2
    assert "--overwrite" in called.err
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"
    assert cli(*words, "--overwrite").code == 0
    assert (tmp_path / "out.mp4").stat().st_size > 100


@pytest.fixture
def walker(tmp_path, astronaut, coffee):
    """Write a clip in which a woman crosses before a cup, and return it."""
    import cv2

    figure = cv2.resize(astronaut[:430, 60:350], (120, 178), interpolation=cv2.INTER_AREA)
    ground = coffee[100:300, :360]
    frames = []
    for number in range(10):
        image = ground.copy()
        left = 5 + 25 * number
        image[22:200, left : min(left + 120, 360)] = figure[:, : 360 - left]
        frames.append(image)
    return write_frames(tmp_path / "in.mp4", frames)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_nothing_half_written(walker, tmp_path, number, code):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTIBLE), "video", walker,
         tmp_path / "out.mp4", "--remove", "person"],
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        process.stderr.readline()  # the models are loaded
        time.sleep(0.5)
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(60) == code
    assert "interrupted, nothing half-written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
