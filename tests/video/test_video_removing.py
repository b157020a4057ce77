"""Whole clips: what was behind the thing comes back, and all else stays as it was."""

import itertools
import json
import os
import sys

import av
import cv2
import numpy as np
import pytest
from video_builders import (
    RED,
    decoded,
    holes,
    mean_psnr,
    panned,
    red,
    view,
    with_thing,
    world,
    write_clip,
)

from cleanplate.errors import InputError, PhotoError, UnknownNameError
from cleanplate.io import temporary_path
from cleanplate.ops import bounding_box
from cleanplate.options import RemovalOptions, Rules
from cleanplate.remover import Remover
from cleanplate.video.removing import remove_from_video
from cleanplate.video.reporting import describe_video


@pytest.mark.parametrize("pan_px", [pytest.param(0.0, marks=pytest.mark.slow), 2.3])
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
    by_frame = [remover(frame, ["person"]).image for frame in decoded(source)]
    coded = decoded(clean)
    assert mean_psnr(made, coded, masks) > 30
    assert mean_psnr(made, coded, masks) > mean_psnr(by_frame, coded, masks) + 8
    assert not any(red(frame).any() for frame in made)


@pytest.mark.slow
def test_the_hole_flickers_no_more_than_what_is_around_it(tmp_path, remover, rng):
    shown, _ = panned(rng, pan_px=1.4)
    source = write_clip(tmp_path / "in.mp4", shown)

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.flicker is not None
    assert result.flicker_around is not None
    assert result.flicker < 1.3 * result.flicker_around + 0.3


def beside(mask):
    """Return where the shadow of a thing lies: at its foot, to the right."""
    right, bottom = bounding_box(mask)[2:]
    shadow = np.zeros_like(mask)
    shadow[bottom - 10 : bottom, right : right + 24] = True
    return shadow


class Sun:
    def find(self, image, mask, *, strong=False):
        return beside(mask)


@pytest.mark.slow
def test_the_shadow_of_a_moving_thing_goes_with_it(tmp_path, remover, rng, monkeypatch):
    monkeypatch.setattr("cleanplate.remover.EffectsDetector", lambda *_, **__: Sun())
    shown, truth = panned(rng, pan_px=0, frames=12, step_px=9)
    shadows = [beside(red(frame)) if red(frame).any() else None for frame in shown]
    dark = [
        frame if shadow is None else np.where(shadow[..., None], frame // 3, frame)
        for frame, shadow in zip(shown, shadows, strict=True)
    ]
    source = write_clip(tmp_path / "in.mp4", dark)
    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)
    for made, clean, shadow in zip(decoded(tmp_path / "out.mp4"), truth, shadows, strict=True):
        if shadow is not None and shadow.any():
            assert np.abs(made[shadow].astype(int) - clean[shadow]).mean() < 40  # darkened it is 80
    assert result.flicker < 1.3 * result.flicker_around + 0.3


@pytest.mark.slow
def test_without_a_remover_the_default_models_are_used(tmp_path, rng):
    source = write_clip(tmp_path / "in.mp4", [world(rng)[:120, :160]] * 3)
    result = remove_from_video(source, tmp_path / "out.mp4", ["person"])
    assert not result.changed
    assert (tmp_path / "out.mp4").read_bytes() == source.read_bytes()


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


@pytest.mark.parametrize(
    "kind",
    ["one", "tiny", "odd", "all of it"]
    + [pytest.param(kind, marks=pytest.mark.slow) for kind in ("last", "flash", "whip")],
)
def test_unusual_clips_are_cleaned_too(tmp_path, remover, rng, kind):
    ground = world(rng)
    image = ground[:120, :160]
    walk = [with_thing(ground[:121, :159], (30 + 6 * number, 60)) for number in range(8)]
    frames = {
        "one": [with_thing(image, (60, 60))],
        "last": [*[image] * 6, with_thing(image, (60, 60))],
        "tiny": [with_thing(ground[:16, :16], (8, 8), (6, 6))] * 3,
        "odd": walk,
        "all of it": [np.full((60, 80, 3), RED, np.uint8)] * 3,
        "flash": [*walk[:4], np.full_like(walk[0], 250), *walk[4:]],
        "whip": [with_thing(view(ground, 20 * n, 0, (120, 160)), (40, 60)) for n in range(8)],
    }[kind]
    codec = "libvpx-vp9" if frames[0].shape[0] % 2 else "libx264"  # the latter has no odd sizes
    source = write_clip(tmp_path / "in.mkv", frames, codec=codec)

    result = remove_from_video(source, tmp_path / "out.mkv", ["person"], remover=remover)

    made = decoded(tmp_path / "out.mkv")
    assert [frame.shape for frame in made] == [frame.shape for frame in frames]
    assert result.frames == len(frames)
    assert not any(red(frame).any() for frame in made)


@pytest.mark.slow
def test_each_shot_has_a_background_of_its_own(tmp_path, remover, rng):
    one, other = (panned(rng, frames=10, step_px=9)[0] for _ in range(2))
    source = write_clip(tmp_path / "in.mp4", [*one, *other])

    result = remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert result.shots == 2
    assert result.segments >= 2
    assert not any(red(frame).any() for frame in decoded(tmp_path / "out.mp4"))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("in.mp4", {}, "clip itself"),
        ("out.mkv", {}, r"the container must stay the same; name the result out\.mp4"),
        ("out.txt", {}, r"name the result with one of \.mp4"),
        ("there.mp4", {}, "--overwrite"),
        ("out.mp4", {"crf": 52}, r"crf must be in 0\.\.51 for h264, got 52"),
        ("out.mp4", {"options": RemovalOptions(rules=Rules(only=[1]))}, "omit 'only'"),
    ],
)
def test_wrong_use_is_reported_before_anything_is_written(
    tmp_path, remover, *, name, options, message
):
    shown, _ = panned(np.random.default_rng(1), frames=3)
    source = write_clip(tmp_path / "in.mp4", shown)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    before = sorted(tmp_path.iterdir()), source.read_bytes()

    with pytest.raises(InputError, match=message):
        remove_from_video(source, tmp_path / name, ["person"], remover=remover, **options)

    assert (sorted(tmp_path.iterdir()), source.read_bytes()) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_an_unknown_label_is_reported(tmp_path, remover, rng):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=3)[0])
    with pytest.raises(UnknownNameError, match="persn"):
        remove_from_video(source, tmp_path / "out.mp4", ["persn"], remover=remover)


def test_an_encoder_that_is_missing_is_reported(tmp_path, remover, rng, monkeypatch):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=3)[0])
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(PhotoError, match=r"cannot write h264.*libx264"):
        remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)


def test_sound_that_can_only_be_read_is_refused_by_name(tmp_path, remover, rng, monkeypatch):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=3)[0], sound="aac")
    monkeypatch.setattr(
        av.container.output.OutputContainer, "supported_codecs", {"h264"}, raising=True
    )
    with pytest.raises(PhotoError, match=r"audio \(aac\) .*\.mp4;"):
        remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, remover, rng, monkeypatch):
    source = write_clip(tmp_path / "in.mp4", panned(rng, frames=8)[0])

    def full(self, frame, planes):
        with self._raise_if_unwritable():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("cleanplate.video.writing.ClipWriter.write_frame", full)
    with pytest.raises(PhotoError, match=r"out\.mp4: .*No space left"):
        remove_from_video(source, tmp_path / "out.mp4", ["person"], remover=remover)

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


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
        RemovalOptions(rules=Rules(protect=["dog"])),
        remover=Remover(segmenter=Coarse(), inpainter="telea"),
    )

    assert result.kept == {"dog": 10}
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


@pytest.mark.skipif(sys.platform == "win32", reason="no colons there")
@pytest.mark.parametrize("name", ["12:30.mp4", "concat:a.mp4"])
def test_a_colon_in_a_name_is_no_protocol(tmp_path, remover, rng, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / name, panned(rng, frames=2)[0])
    remove_from_video(name, f"out:{name}", "person", remover=remover)
    assert (tmp_path / f"out:{name}").is_file()


def test_what_a_killed_run_left_is_removed_an_hour_later(tmp_path, remover, rng):
    source = write_clip(tmp_path / "in.mp4", [with_thing(world(rng)[:120, :160], (80, 60))] * 2)
    target = tmp_path / "out" / "out.mp4"
    old, new = temporary_path(target), temporary_path(target)
    target.parent.mkdir()
    for half in (old, new):
        half.write_bytes(b"half")
    os.utime(old, (1, 1))
    remove_from_video(source, target, "person", remover=remover)
    assert (old.exists(), new.exists()) == (False, True)
