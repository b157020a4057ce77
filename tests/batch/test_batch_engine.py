"""Several workers on one run: the same results, within the cores and the memory given."""

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.batch import Job
from cleanplate.batch.execution import engine
from cleanplate.batch.execution.engine import (
    Engine,
    Resources,
    format_size,
    parse_size,
    photo_bytes,
    worker_count,
)
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.errors import InputError
from cleanplate.remover import Remover
from cleanplate.runtime import devices
from cleanplate.runtime.session import load_network

AT_REST = engine.RUN_BYTES + 2 * engine.WORKER_BYTES
TELEA = Job(own_masks=MaskFiles(Path("mask.png")))


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path, rng):
    Path("in").mkdir()
    for number in range(8):
        pixels = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f"in/{number}.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:25] = 255
    Image.fromarray(mask).save("mask.png")


def run(out, workers, job=TELEA, max_memory=8 << 30):
    plan = plan_photos([Path("in")], Path(out))
    resources = Resources(workers=workers, threads=1, max_memory=max_memory)
    with Engine(Remover(inpainter="telea"), job, resources) as busy:
        return list(busy.run(plan))


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir()}


@pytest.mark.slow
def test_workers_make_the_same_as_the_plain_loop(photos):
    Path("in/bad.png").write_text("no photo")
    alone, both = run("one", 1), run("two", 2)
    assert hashes("one") == hashes("two")
    assert {(o.source, o.status, o.size_hw, o.notes, o.error) for o in alone} == {
        (o.source, o.status, o.size_hw, o.notes, o.error) for o in both
    }
    assert [o.source.name for o in both if o.status == "failed"] == ["bad.png"]


@pytest.mark.slow
def test_a_photo_larger_than_the_memory_is_done_alone_and_says_so(photos, monkeypatch):
    monkeypatch.setattr(engine, "photo_bytes", lambda path: (5 if path.stem == "3" else 1) << 30)
    outcomes = run("out", 2, max_memory=AT_REST + (4 << 30))
    noted = {o.source.stem: o.notes for o in outcomes if o.notes}
    assert noted == {
        "3": (
            "takes about 5.0 GB, more than the 4.0 GB that --max-memory leaves for photos; "
            "it was processed alone",
        )
    }
    assert len(hashes("out")) == 8


def test_with_one_worker_every_photo_is_alone_and_a_large_one_says_so(photos, monkeypatch):
    monkeypatch.setattr(engine, "photo_bytes", lambda path: (5 if path.stem == "3" else 1) << 30)
    outcomes = run("out", 1, max_memory=engine.WORKER_BYTES + (4 << 30))
    assert [o.source.stem for o in outcomes if o.notes] == ["3"]
    assert "more than the 4.0 GB that --max-memory leaves" in outcomes[3].notes[0]


@pytest.mark.slow
def test_photos_in_work_never_need_more_than_there_is(photos, monkeypatch):
    monkeypatch.setattr(engine, "photo_bytes", lambda _: 3 << 30)
    started, most = set(), 0

    class Counting(engine.Worker):
        def start(self, task):
            nonlocal most
            started.add(self)
            most = max(most, len(started))
            super().start(task)

    monkeypatch.setattr(engine, "Worker", Counting)
    assert len(run("out", 2, max_memory=AT_REST + (5 << 30))) == 8
    assert most == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.slow
def test_a_worker_that_dies_is_a_failure_of_its_photo_only(photos, monkeypatch):
    class Dying(engine.Worker):
        def start(self, task):
            if task.photo.source.stem == "2":
                self._process.kill()
            super().start(task)

    monkeypatch.setattr(engine, "Worker", Dying)
    outcomes = {o.source.stem: o for o in run("out", 2)}
    assert [stem for stem, o in outcomes.items() if o.status == "failed"] == ["2"]
    assert outcomes["2"].error == (
        "in/2.png: the process that worked on it died by signal 9; if memory ran out, give "
        "fewer --workers or a smaller --max-memory"
    )
    assert len(hashes("out")) == 7


@pytest.mark.slow
def test_fail_fast_ends_the_workers(photos):
    for photo in Path("in").iterdir():  # whichever worker is the first
        photo.write_text("no photo")
    job = Job(own_masks=TELEA.own_masks, fail_fast=True)
    (outcome,) = run("out", 2, job)
    assert outcome.status == "failed"


def test_models_that_only_this_process_has_are_refused(photos, fake_segmenter):
    resources = Resources(workers=2, threads=1, max_memory=8 << 30)
    with pytest.raises(InputError, match="several workers need models given by name"):
        Engine(Remover(segmenter=fake_segmenter), TELEA, resources)


class TestResources:
    def test_workers_times_threads_is_at_most_the_cores(self):
        for cores in (1, 2, 3, 8, 12):
            for workers in (None, 1, cores):
                found = Resources.for_run(1000, workers=workers, threads=cores, max_memory=1 << 40)
                assert 1 <= found.workers * found.threads <= cores

    def test_a_handful_of_photos_needs_no_further_process(self):
        assert Resources.for_run(3, threads=8, max_memory=1 << 40).workers == 1
        assert Resources.for_run(1000, threads=8, max_memory=1 << 40).workers == 8
        many = Resources.for_run(1000, threads=8, max_memory=1 << 40, portable=False)
        assert (many.workers, many.threads) == (1, 8)

    def test_memory_limits_the_workers(self):
        assert worker_count(photos=1000, cores=16, max_memory=3 << 30) == 2
        assert worker_count(photos=1000, cores=16, max_memory=1) == 1

    def test_what_cannot_be_is_said(self):
        with pytest.raises(InputError, match=r"--workers 3 .*2 available processor cores"):
            Resources.for_run(9, workers=3, threads=2)
        with pytest.raises(InputError, match=r"--max-memory 100 MB .* 480 MB .*--workers"):
            Resources.for_run(9, workers=1, max_memory=100 << 20)


class TestMemory:
    @pytest.mark.parametrize(
        ("text", "size"),
        [("4G", 4 << 30), ("800M", 800 << 20), ("1.5GiB", 3 << 29), ("2 gb", 2 << 30), ("99", 99)],
    )
    def test_sizes_are_read(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "much", "-1G", "0", "4X"])
    def test_other_texts_are_refused(self, text):
        with pytest.raises(InputError, match="is not an amount of memory; write 800M or 4G"):
            parse_size(text)

    def test_sizes_are_shown(self):
        assert [format_size(800 << 20), format_size(3 << 29)] == ["800 MB", "1.5 GB"]

    @pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
    def test_a_need_follows_from_the_header(self, suffix):
        Image.new("RGB", (300, 200)).save(f"a.{suffix}")
        whole = Path(f"a.{suffix}").read_bytes()
        if suffix in ("png", "jpg"):
            Path(f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
        assert photo_bytes(Path(f"a.{suffix}")) == 60000 * engine.BYTES_PER_PIXEL

    def test_what_has_no_header_needs_nothing(self):
        Path("a.png").write_text("no photo")
        assert photo_bytes(Path("a.png")) == photo_bytes(Path("none.png")) == 0

    def test_the_default_is_a_share_of_what_is_free(self):
        assert 64 << 20 < engine.default_max_memory() < 1 << 50

    @pytest.mark.skipif(not hasattr(os, "sysconf"), reason="needs sysconf")
    def test_a_container_has_less_than_its_machine(self, monkeypatch):
        monkeypatch.setattr(devices, "_cgroup_free_bytes", lambda: 1 << 20)
        assert engine.default_max_memory() == 3 << 18


# --- a GPU, of which there is one


def networks_run(out, workers):
    plan = plan_photos([Path("in")], Path(out))
    resources = Resources(workers=workers, threads=1, max_memory=None)
    with Engine(Remover(device="cpu"), TELEA, resources) as busy:
        return list(busy.run(plan)), busy


@pytest.mark.slow
def test_workers_that_share_a_device_let_this_process_compute(photos, monkeypatch):
    loaded = []

    def load(content, name, device, threads):
        loaded.append((name, device))
        return load_network(content, name, device, threads)

    networks_run("one", 1)
    monkeypatch.setattr(engine, "is_shared", lambda device: device == "cpu")
    monkeypatch.setattr(engine, "load_network", load)
    outcomes, busy = networks_run("two", 2)
    assert [outcome.status for outcome in outcomes] == ["removed"] * 8
    assert hashes("one") == hashes("two")
    assert loaded == [("edgeconnect.photos", "cpu")] * 2  # its two networks, once for both
    assert busy._server is None


@pytest.mark.slow
def test_methods_without_a_network_need_no_device(photos, monkeypatch):
    plan = plan_photos([Path("in")], Path("out"))
    resources = Resources(workers=2, threads=1, max_memory=None)
    with Engine(Remover(inpainter="telea", device="cuda"), TELEA, resources) as busy:
        assert {outcome.status for outcome in busy.run(plan)} == {"removed"}
