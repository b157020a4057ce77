"""What is refused by name before any work is done."""

import builtins
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from video_builders import panned, write_clip

from cleanplate.errors import MissingExtraError, PhotoError
from cleanplate.video.reading import decode_frames, read_clip


@pytest.fixture
def frames(rng):
    return panned(rng, frames=3)[0]


def test_what_is_known_of_a_clip(tmp_path, frames):
    clip = read_clip(write_clip(tmp_path / "a.mp4", frames, rotation=-90))

    assert (clip.format, clip.codec, clip.pixel_format) == ("mp4", "h264", "yuv420p")
    assert clip.stored_hw == (120, 160)
    assert clip.size_hw == (160, 120)
    assert clip.quarter_turns == 3  # clockwise by one
    assert clip.time_base == Fraction(1, 90000)
    assert clip.frames == 3
    assert clip.sample_format.bits == 8


@pytest.mark.parametrize(
    ("transfer", "name"), [(16, r"PQ \(HDR10\)"), (18, "HLG")], ids=["pq", "hlg"]
)
def test_hdr_is_refused_by_name(tmp_path, frames, transfer, name):
    tags = {"color_primaries": 9, "color_trc": transfer, "colorspace": 9}
    path = write_clip(
        tmp_path / "a.mp4", frames, codec="libx265", pixel_format="yuv420p10le", tags=tags
    )
    with pytest.raises(PhotoError, match=rf"HDR \({name}.*SDR version first"):
        read_clip(path)


def test_interlaced_is_refused(tmp_path, frames):
    path = write_clip(
        tmp_path / "a.mp4", frames, options={"x264-params": "tff=1:interlaced=1", "flags": "+ildct"}
    )
    with pytest.raises(PhotoError, match=r"it is interlaced.*bwdif"):
        read_clip(path)


def test_alpha_is_refused(tmp_path, frames):
    path = write_clip(tmp_path / "a.webm", frames, codec="libvpx-vp9", pixel_format="yuva420p")
    with pytest.raises(PhotoError, match=r"transparency \(alpha\)"):
        read_clip(path)


def test_another_codec_is_refused_by_name(tmp_path, frames):
    path = write_clip(tmp_path / "a.mkv", frames, codec="mjpeg", pixel_format="yuvj420p")
    with pytest.raises(PhotoError, match="the codec mjpeg is not supported; convert it"):
        read_clip(path)


def test_other_pixels_are_refused_by_name(tmp_path, frames):
    path = write_clip(tmp_path / "a.mkv", frames, codec="libx265", pixel_format="yuv420p12le")
    with pytest.raises(PhotoError, match="format yuv420p12le is not supported in hevc"):
        read_clip(path)


def test_another_container_is_refused_by_name(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF")
    with pytest.raises(PhotoError, match=r"format \(\.avi\) is not supported"):
        read_clip(path)


def test_a_mirrored_clip_is_refused(tmp_path, frames):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        for image in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        output.mux(stream.encode(None))
    with pytest.raises(PhotoError, match="mirrored or rotated by an angle"):
        read_clip(path)


def test_two_videos_are_refused(tmp_path, frames):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=30) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        for image in frames:
            for stream in streams:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        for stream in streams:
            output.mux(stream.encode(None))
    with pytest.raises(PhotoError, match="it contains 2 videos"):
        read_clip(path)


def test_sound_alone_is_no_clip(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(PhotoError, match="it contains no video"):
        read_clip(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "not a readable clip"), (b"x" * 999, "not a readable clip")],
    ids=["missing", "empty", "rubbish"],
)
def test_no_clip_at_all_is_reported(tmp_path, content, message):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhotoError, match=message):
        read_clip(path)


def test_a_size_that_changes_is_reported(tmp_path, frames):
    path = tmp_path / "a.mkv"
    one = write_clip(tmp_path / "one.mkv", frames, codec="libvpx-vp9")
    other = write_clip(
        tmp_path / "other.mkv", [frame[:100].copy() for frame in frames], codec="libvpx-vp9"
    )
    with av.open(str(path), "w") as output, av.open(str(one)) as a, av.open(str(other)) as b:
        stream = output.add_stream_from_template(a.streams.video[0])
        for number, packet in enumerate(p for c in (a, b) for p in c.demux(video=0) if p.size):
            packet.stream = stream
            packet.pts = packet.dts = number * 33
            output.mux(packet)
    with pytest.raises(PhotoError, match="the size or pixel format changes at frame 3"):
        list(decode_frames(read_clip(path)))


def test_without_the_extra_the_command_to_install_is_reported(tmp_path, monkeypatch, frames):
    path = write_clip(tmp_path / "a.mp4", frames)
    importing = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av" or name.startswith("av."):
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    for name in [name for name in sys.modules if name == "av" or name.startswith("av.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(MissingExtraError, match=r'run pip install "cleanplate\[video\]"'):
        read_clip(path)
