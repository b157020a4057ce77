"""What has to come back of a clip does: times, sound, text, turns, colours, depth."""

import os
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from video_builders import (
    decoded,
    holes,
    mean_psnr,
    packets_of,
    panned,
    red,
    times_of,
    write_clip,
)

from cleanplate.evaluation.metrics import psnr_db
from cleanplate.remover import Remover
from cleanplate.video.matroska import write_pixel_aspect
from cleanplate.video.removing import remove_from_video


def test_nothing_found_means_the_same_bytes(tmp_path, remover, rng):
    _, truth = panned(rng, frames=6)
    source = write_clip(tmp_path / "in.mp4", truth, sound="aac")

    result = remove_from_video(source, tmp_path / "new" / "out.mp4", ["person"], remover=remover)

    assert not result.changed
    assert (tmp_path / "new" / "out.mp4").read_bytes() == source.read_bytes()


def test_sound_times_titles_and_chapters_come_back(tmp_path, remover, rng):
    shown, _ = panned(rng, frames=12)
    times = np.cumsum(
        [0, 3000, 4500, 1501, 3003, 9000, 3000, 3000, 1500, 3000, 6000, 3001]
    ).tolist()
    chapter = {"id": 1, "start": 0, "end": 200, "time_base": 1 / 1000, "metadata": {"title": "one"}}
    chapter["time_base"] = Fraction(1, 1000)
    source = write_clip(
        tmp_path / "in.mp4",
        shown,
        times=times,
        sound="aac",
        metadata={"title": "Beach", "comment": "ours"},
        chapters=[chapter],
        aspect=Fraction(4, 3),
    )

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.notes == ()
    assert times_of(tmp_path / "out.mp4") == times_of(source) == times
    assert packets_of(tmp_path / "out.mp4", "audio") == packets_of(source, "audio")
    with av.open(str(tmp_path / "out.mp4")) as made, av.open(str(source)) as given:
        assert made.metadata["title"] == "Beach"
        assert made.metadata["comment"] == "ours"
        assert made.chapters() == given.chapters()
        new, old = made.streams.video[0], given.streams.video[0]
        assert new.time_base == old.time_base
        assert new.sample_aspect_ratio == old.sample_aspect_ratio == Fraction(4, 3)
        assert new.duration == old.duration
        assert made.streams.audio[0].language == given.streams.audio[0].language


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libvpx-vp9", "a.mp4"),
        ("libvpx-vp9", "c.webm"),
        ("libsvtav1", "e.mkv"),
        ("libx264", "f.mkv"),
    ],
)
def test_the_pixel_aspect_ratio_comes_back(tmp_path, remover, rng, codec, name):
    shown = panned(rng, frames=4)[0]
    options = {"preset": "10", "svtav1-params": "lp=1"} if codec == "libsvtav1" else None
    source = write_clip(tmp_path / name, shown, codec=codec, aspect=Fraction(4, 3), options=options)
    if codec != "libx264" and not name.endswith(".mp4"):  # as FFmpeg's own program writes them
        write_pixel_aspect(source, Fraction(4, 3), shown[0].shape[:2])
    result = remove_from_video(source, tmp_path / f"out-{name}", ["person"], remover=remover)
    assert result.changed
    assert not any("aspect" in note for note in result.notes)
    with av.open(str(source)) as clip, av.open(str(tmp_path / f"out-{name}")) as made:
        aspects = [float(c.streams.video[0].sample_aspect_ratio) for c in (clip, made)]
        assert aspects == pytest.approx([4 / 3, 4 / 3], rel=1 / shown[0].shape[1])
        assert aspects[0] == aspects[1]
        made.seek(int(made.duration or 0) // 2)
        assert next(made.decode(video=0)).pts is not None
        assert sum(1 for _ in made.demux(video=0)) > 1


@pytest.mark.slow
def test_subtitles_attachments_and_languages_come_back(tmp_path, remover, rng):
    plain = write_clip(tmp_path / "plain.mkv", panned(rng, frames=12)[0], sound="flac")
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as given, av.open(str(source), "w") as output:
        taken = {stream.index: output.add_stream_from_template(stream) for stream in given.streams}
        taken[1].metadata["language"] = "fre"
        words = output.add_mux_stream("subrip")
        words.time_base = Fraction(1, 1000)
        words.metadata["language"] = "ger"
        output.add_attachment("font.ttf", "font/ttf", b"not really a font")
        packet = av.Packet(b"Guten Tag")
        packet.stream, packet.time_base = words, Fraction(1, 1000)
        packet.pts = packet.dts = 100
        packet.duration = 150
        output.mux(packet)
        for packet in given.demux():
            if packet.size:
                packet.stream = taken[packet.stream.index]
                output.mux(packet)

    result = remove_from_video(source, tmp_path / "out.mkv", ["person"], remover=remover)

    assert result.changed
    assert result.notes == ()
    assert packets_of(tmp_path / "out.mkv", "subtitle") == [(100, 150, b"Guten Tag")]
    assert packets_of(tmp_path / "out.mkv", "audio") == packets_of(source, "audio")
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert [stream.type for stream in made.streams] == [
            "video", "audio", "subtitle", "attachment",
        ]  # fmt: skip
        assert made.streams[1].metadata["language"] == "fre"
        assert made.streams[2].metadata["language"] == "ger"
        assert made.streams[3].data == b"not really a font"


@pytest.mark.parametrize(
    "rotation", [90, *(pytest.param(turn, marks=pytest.mark.slow) for turn in (-90, 180))]
)
def test_a_portrait_clip_is_seen_upright_and_stays_turned(tmp_path, red_segmenter, rng, rotation):
    sizes = set()

    class Upright(type(red_segmenter)):
        def segment(self, image, labels):
            sizes.add(image.shape[:2])
            return super().segment(image, labels)

    shown, truth = panned(rng, frames=10, step_px=9)
    turns = {90: -1, -90: 1, 180: 2}[rotation]
    stored = [np.ascontiguousarray(np.rot90(frame, turns)) for frame in shown]
    source = write_clip(tmp_path / "in.mp4", stored, rotation=rotation)

    remove_from_video(
        source,
        tmp_path / "out.mp4",
        ["person"],
        remover=Remover(segmenter=Upright(), inpainter="telea"),
    )

    assert sizes == {(120, 160)}
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.rotation % 360 == rotation % 360
    upright = [np.rot90(frame, -turns) for frame in decoded(tmp_path / "out.mp4")]
    assert mean_psnr(upright, truth, holes(shown)) > 25


@pytest.mark.parametrize(
    "kind",
    [
        (".mp4", "libx264", "yuv444p", "aac"),
        pytest.param((".m4v", "libx264", "yuvj420p", "aac"), marks=pytest.mark.slow),
        pytest.param((".mp4", "libx264", "yuv420p10le", None), marks=pytest.mark.slow),
        pytest.param((".mov", "libx265", "yuv420p10le", "pcm_s16le"), marks=pytest.mark.slow),
        pytest.param((".mkv", "libx264", "yuv422p", "flac"), marks=pytest.mark.slow),
        (".mkv", "libx265", "yuv420p", "libopus"),
        pytest.param((".webm", "libvpx-vp9", "yuv420p", "libopus"), marks=pytest.mark.slow),
        (".mp4", "libsvtav1", "yuv420p", "aac"),
    ],
)
@pytest.mark.slow
def test_codec_pixels_and_colour_tags_stay(tmp_path, remover, rng, kind):
    suffix, codec, pixel_format, sound = kind
    shown, _ = panned(rng, frames=12, step_px=10)
    tags = {"color_primaries": 1, "color_trc": 1, "colorspace": 1, "color_range": 1}
    tags["color_range"] = 2 if "j" in pixel_format else 1
    source = write_clip(
        tmp_path / f"in{suffix}",
        shown,
        codec=codec,
        pixel_format=pixel_format,
        sound=sound,
        tags=tags,
    )
    target = tmp_path / f"out{suffix}"

    result = remove_from_video(source, target, ["person"], remover=remover)

    assert result.notes == ()
    with av.open(str(target)) as made, av.open(str(source)) as given:
        new, old = (container.streams.video[0].codec_context for container in (made, given))
        assert new.codec.canonical_name == old.codec.canonical_name
        assert new.pix_fmt == old.pix_fmt == pixel_format
        assert new.codec_tag == old.codec_tag
        for tag in tags:
            assert getattr(new, tag) == getattr(old, tag), tag
    assert times_of(target) == times_of(source)
    if sound:
        assert packets_of(target, "audio") == packets_of(source, "audio")
    coded = [*zip(decoded(target), decoded(source), strict=True)]
    away = [
        ~cv2.dilate(red(frame).view(np.uint8), np.ones((21, 21))).astype(bool) for frame in shown
    ]
    outside = np.mean([psnr_db(a, b, m) for (a, b), m in zip(coded, away, strict=True)])
    assert outside > 33  # the encoder's loss alone
    assert not any(red(frame).any() for frame, _ in coded)


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are Linux's")
def test_no_encoder_leaves_the_process_with_real_time_priority(tmp_path, remover, rng):
    """SVT-AV1 gives it to the calling thread and to its own when root runs it."""
    shown, _ = panned(rng, frames=3)
    source = write_clip(tmp_path / "in.mp4", shown, codec="libsvtav1")
    during = set()

    def look(*_):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended
                during.add(os.sched_getscheduler(int(thread.name)))

    remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover, on_progress=look)

    assert during == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_ten_bits_stay_ten(tmp_path, remover, rng):
    ramp = np.linspace(300, 340, 160).astype(np.uint16)  # 10-bit levels, finer than 8 bits
    planes = np.full((180, 160), 512, np.uint16)
    planes[:120] = ramp
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream(
            "libx265", rate=30, options={"x265-params": "lossless=1:log-level=none"}
        )
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p10le"
        for number in range(12):
            frame = planes.copy()
            frame[40:80, 10 * number + 5 : 10 * number + 25] = 300
            chroma = frame[120:].reshape(2, 60, 80)
            chroma[0, 20:40, 5 * number + 3 : 5 * number + 12] = 400
            chroma[1, 20:40, 5 * number + 3 : 5 * number + 12] = 940
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "yuv420p10le")))
        output.mux(stream.encode(None))

    remove_from_video(path, tmp_path / "out.mp4", ["person"], remover=remover, crf=0)

    with av.open(str(tmp_path / "out.mp4")) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray()[:120].astype(int)
            assert np.abs(luma - ramp).max() <= 6
            assert len(np.unique(luma[50:70])) > 20  # of 41; 8 bits would leave 11


@pytest.mark.slow
def test_a_clip_that_is_cut_off_is_reported(tmp_path, remover, rng):
    whole = write_clip(
        tmp_path / "whole.mkv", panned(rng, frames=60, step_px=1)[0], options={"g": "5"}
    )
    source = tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])

    result = remove_from_video(source, tmp_path / "out.mkv", ["person"], remover=remover)

    assert any("truncated" in note for note in result.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("start", [4500, 90000])
@pytest.mark.slow
def test_pictures_that_begin_after_the_sound_still_do(tmp_path, remover, rng, suffix, start):
    times = [start + 3000 * number for number in range(4)]
    shown, _ = panned(rng, frames=4, step_px=20)
    source = write_clip(tmp_path / f"in{suffix}", shown, times=times, sound="aac")

    remove_from_video(source, tmp_path / f"out{suffix}", ["person"], remover=remover)

    assert times_of(tmp_path / f"out{suffix}") == times_of(source)
    assert times_of(source)[0] == start
    assert packets_of(tmp_path / f"out{suffix}", "audio") == packets_of(source, "audio")


def test_a_cover_picture_comes_back(tmp_path, remover, rng):
    plain = write_clip(tmp_path / "plain.mp4", panned(rng, frames=4, step_px=20)[0])
    source = tmp_path / "in.mp4"
    cover = av.stream.Disposition.attached_pic
    with av.open(str(plain)) as given, av.open(str(source), "w") as output:
        video = output.add_stream_from_template(given.streams.video[0])
        picture = output.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        picture.disposition = cover
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8))
        frame = frame.reformat(format="yuvj420p")
        frame.pts = 0
        output.mux([*picture.encode(frame), *picture.encode(None)])
        for packet in given.demux():
            if packet.size:
                packet.stream = video
                output.mux(packet)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.changed
    with av.open(str(tmp_path / "out.mp4")) as made, av.open(str(source)) as given:
        pictures = [
            [bytes(packet) for packet in file.demux(file.streams[1]) if packet.size]
            for file in (made, given)
        ]
        assert made.streams[1].disposition == cover
        assert pictures[0] == pictures[1]
        assert len(pictures[0]) == 1
