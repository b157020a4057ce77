"""Whole clips: what was behind the thing comes back, and all else stays as it was."""

import itertools
import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from video_builders import (
    decoded,
    packets_of,
    panned,
    red,
    times_of,
    view,
    with_thing,
    world,
    write_clip,
)

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.metrics import psnr_db
from cleanplate.pipeline import Remover
from cleanplate.selection import Rules
from cleanplate.types import RGBImage
from cleanplate.video import describe_video, remove_from_video


def holes(frames: list[RGBImage]) -> list[np.ndarray]:
    return [red(frame) for frame in frames]


def mean_psnr(result: list[RGBImage], truth: list[RGBImage], masks: list[np.ndarray]) -> float:
    return float(np.mean([psnr_db(*three) for three in zip(result, truth, masks, strict=True)]))


@pytest.mark.parametrize("pan_px", [0.0, 2.3])
def test_what_was_behind_comes_from_other_frames(tmp_path, remover, rng, pan_px):
    shown, truth = panned(rng, pan_px=pan_px, frames=16, step_px=7)
    source = write_clip(tmp_path / "in.mp4", shown)
    clean = write_clip(tmp_path / "truth.mp4", truth)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    made = decoded(tmp_path / "out.mp4")
    assert len(made) == len(shown)
    assert result.changed
    assert result.frames_filled == result.frames == len(shown)
    assert result.share(result.from_frames_px) > 0.98
    masks = holes(shown)
    by_frame = [remover.remove(frame, ["person"]).image for frame in decoded(source)]
    coded = decoded(clean)
    assert mean_psnr(made, coded, masks) > 30
    assert mean_psnr(made, coded, masks) > mean_psnr(by_frame, coded, masks) + 8
    assert not any(red(frame).any() for frame in made)


def test_the_hole_flickers_no_more_than_what_is_around_it(tmp_path, remover, rng):
    shown, _ = panned(rng, pan_px=1.4)
    source = write_clip(tmp_path / "in.mp4", shown)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.flicker is not None
    assert result.flicker_around is not None
    assert result.flicker < 1.3 * result.flicker_around + 0.3


def test_what_no_frame_shows_is_filled_once(tmp_path, remover, rng):
    image = world(rng)[:120, :160]
    frames = [with_thing(image, (80, 60)) for _ in range(8)]
    source = write_clip(tmp_path / "in.mp4", frames)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    made = decoded(tmp_path / "out.mp4")
    inside = red(frames[0])
    changes = [
        np.abs(one[inside].astype(int) - two[inside]).mean()
        for one, two in itertools.pairwise(made)
    ]
    assert result.by_network_px == result.filled_px > 0
    assert max(changes) < 1.5


def test_each_shot_has_a_background_of_its_own(tmp_path, remover, rng):
    one, other = (panned(rng, frames=10, step_px=9)[0] for _ in range(2))
    source = write_clip(tmp_path / "in.mp4", [*one, *other])

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.shots == 2
    assert result.segments >= 2
    assert not any(red(frame).any() for frame in decoded(tmp_path / "out.mp4"))


def test_an_object_missed_in_single_frames_is_removed_there_too(tmp_path, red_segmenter, rng):
    class Blinking(type(red_segmenter)):
        calls = 0

        def segment(self, image, labels):
            self.calls += 1
            return [] if self.calls in (7, 8, 15) else super().segment(image, labels)

    shown, truth = panned(rng, step_px=2)
    source = write_clip(tmp_path / "in.mp4", shown)

    result = remove_from_video(
        source,
        tmp_path / "out.mp4",
        ["person"],
        remover=Remover(segmenter=Blinking(), inpainter="telea"),
    )

    assert result.frames_filled == len(shown)
    assert result.frames_steadied >= 3
    made = decoded(tmp_path / "out.mp4")
    assert max(np.count_nonzero(red(frame)) for frame in made) < 25
    assert mean_psnr(made, truth, holes(shown)) > 25


def test_exposure_that_drifts_is_followed(tmp_path, remover, rng):
    shown, truth = panned(rng)
    light = np.linspace(0.75, 1.05, len(shown))

    def lit(frames):
        return [
            np.clip(frame * share, 0, 255).astype(np.uint8)
            for frame, share in zip(frames, light, strict=True)
        ]

    dimmed = [
        np.where(red(frame)[..., None], frame, darker)
        for frame, darker in zip(shown, lit(shown), strict=True)
    ]
    source = write_clip(tmp_path / "in.mp4", dimmed)

    remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    coded = decoded(write_clip(tmp_path / "truth.mp4", lit(truth)))
    assert mean_psnr(decoded(tmp_path / "out.mp4"), coded, holes(shown)) > 28


def test_a_background_that_moves_by_itself_is_not_copied(tmp_path, remover, rng):
    still = world(rng)[:120, :160]
    frames = []
    for number in range(20):
        water = rng.integers(0, 256, (50, 160, 1), np.uint8).repeat(3, axis=2)
        image = still.copy()
        image[70:] = np.clip(3 * (cv2.GaussianBlur(water, (0, 0), 2) - 128.0) + 128, 20, 200)
        frames.append(with_thing(image, (30 + 5 * number, 75)))
    source = write_clip(tmp_path / "in.mp4", frames)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.by_network_px + result.by_frame_px > 0.2 * result.filled_px
    assert result.from_frames_px > 0.2 * result.filled_px


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


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_portrait_clip_is_seen_upright_and_stays_turned(tmp_path, red_segmenter, rng, rotation):
    sizes = set()

    class Upright(type(red_segmenter)):
        def segment(self, image, labels):
            sizes.add(image.shape[:2])
            return super().segment(image, labels)

    shown, truth = panned(rng)
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
        (".m4v", "libx264", "yuvj420p", "aac"),
        (".mp4", "libx264", "yuv420p10le", None),
        (".mov", "libx265", "yuv420p10le", "pcm_s16le"),
        (".mkv", "libx264", "yuv422p", "flac"),
        (".mkv", "libx265", "yuv420p", "libopus"),
        (".webm", "libvpx-vp9", "yuv420p", "libopus"),
        (".mp4", "libsvtav1", "yuv420p", "aac"),
    ],
)
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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("in.mp4", {}, "that is the clip itself"),
        ("out.mkv", {}, r"the container stays as it is; name the result out\.mp4"),
        ("out.txt", {}, r"name the result with one of \.mp4"),
        ("there.mp4", {}, "it exists; --overwrite replaces it"),
        ("out.mp4", {"crf": 52}, r"crf must be in 0\.\.51 for h264, got 52"),
        ("out.mp4", {"rules": Rules(only=[1])}, "other numbers in every frame"),
        ("out.mp4", {"grow": -1}, "grow must be at least 0"),
    ],
)
def test_wrong_use_is_told_before_anything_is_written(tmp_path, remover, *, name, options, message):
    shown, _ = panned(np.random.default_rng(1), frames=3)
    source = write_clip(tmp_path / "in.mp4", shown)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    before = sorted(tmp_path.iterdir()), source.read_bytes()

    with pytest.raises(InputError, match=message):
        remove_from_video(source, tmp_path / name, ["person"], remover=remover, **options)

    assert (sorted(tmp_path.iterdir()), source.read_bytes()) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_a_clip_that_is_cut_off_is_told(tmp_path, remover, rng):
    whole = write_clip(
        tmp_path / "whole.mkv", panned(rng, frames=80, step_px=1)[0], options={"g": "5"}
    )
    source = tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])

    result = remove_from_video(source, tmp_path / "out.mkv", ["person"], remover=remover)

    assert any("it may be cut off" in note for note in result.notes)


def test_an_unknown_label_is_told(tmp_path, remover, rng):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=3)[0])
    with pytest.raises(UnknownNameError, match="persn"):
        remove_from_video(source, tmp_path / "out.mp4", ["persn"], remover=remover)


def test_an_interrupt_leaves_nothing_half_written(tmp_path, remover, rng):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=8)[0])
    before = source.read_bytes()

    def stop(stage, done, total):
        if stage == "fill" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove_from_video(
            source, tmp_path / "out.mp4", ["person"], remover=remover, on_progress=stop
        )

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    assert source.read_bytes() == before


def test_a_protected_object_is_not_touched(tmp_path, fake_segmenter_class, rng):
    image = np.full((120, 160, 3), 128, np.uint8)
    frames = []
    for number in range(10):
        frame = with_thing(image, (40 + 5 * number, 60))
        frame[45:75, 70:90] = (20, 210, 20)
        frames.append(frame)

    class Coarse(fake_segmenter_class):
        def segment(self, image, labels):
            strong = image.max(axis=2, keepdims=True) > image.min(axis=2, keepdims=True) + 90
            best = np.eye(3, dtype=np.uint8)[image.argmax(axis=2)] * np.uint8(230)
            return super().segment(np.where(strong, best, np.uint8(60)), labels)

    source = write_clip(tmp_path / "in.mp4", frames)
    result = remove_from_video(
        source,
        tmp_path / "out.mp4",
        ["person"],
        remover=Remover(segmenter=Coarse(), inpainter="telea"),
        rules=Rules(protect=["dog"]),
    )

    assert result.left == {"dog": 10}
    green = np.asarray([20, 210, 20])
    for frame in (decoded(tmp_path / "out.mp4")[0], decoded(tmp_path / "out.mp4")[-1]):
        assert np.abs(frame[50:70, 75:85].astype(int) - green).mean() < 30


def test_the_report_says_what_was_done(tmp_path, remover, rng):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=10)[0])
    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    line = json.loads(json.dumps(describe_video(result, remover, {"labels": ["person"]})))

    assert line["status"] == "removed"
    assert line["size_wh"] == [160, 120]
    assert line["frames"] == line["frames_filled"] == 10
    assert line["found"] == {"person": 10}
    shares = line["from_other_frames"] + line["by_network"] + line["by_network_each_frame"]
    assert shares == pytest.approx(1, abs=1e-3)
    assert line["models"] == {"segmenter": "fake", "inpainter": "telea"}
    assert 0 < line["mask_share"] < 1


def test_the_view_of_a_picture_is_where_it_should_be(rng):
    picture = world(rng)
    np.testing.assert_array_equal(view(picture, 7, 5, (40, 50)), picture[5:45, 7:57])
