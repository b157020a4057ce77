"""The command line through the real door: processes, signals, terminals, the real networks."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.runtime import session
from tiff_builders import dng

COMMAND = (sys.executable, "-m", "cleanplate")

# `cleanplate` with a remover that takes its time, and with disks that do.
SLOW = """
    import os, signal, sys, time
    import numpy as np
    from cleanplate import remover
    from cleanplate.cli import main
    from cleanplate.plan import RemovalPlan
    from cleanplate.types import Removal

    class Slow:
        def __init__(self, **_):
            self.segmenter = self.inpainter = self
            self.name, self.provider, self.labels = "slow", "here", ("person",)
            self.config = self, lambda: None, "cpu"  # nothing that another process could have

        def prompter_for(self, options):
            return None

        def plan(self, photo, options):
            time.sleep({photo_s})
            mask = np.ones(photo.size_hw, dtype=bool)
            return RemovalPlan(mask=mask, instances=(), kept=(), options=options)

        def fill(self, image, plan):
            return Removal(image, plan.mask, timings_s={{}})

    remover.Remover = Slow
    signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and "&" have them ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fsync, synced = os.fsync, []

    def slow_fsync(number):
        synced.append(number)
        if len(synced) > {quick_writes}:
            print("writing", file=sys.stderr, flush=True)
            time.sleep(30)
        fsync(number)

    os.fsync = slow_fsync
    sys.exit(main())
"""


@pytest.fixture
def start(tmp_path):
    """Start a process in `tmp_path`; it is ended with the test."""
    running = []

    def begin(*command, **options):
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **options.pop("env", {})}
        process = subprocess.Popen(
            [os.fspath(word) for word in command],
            cwd=tmp_path,
            env=environment,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            **options,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def call(start):
    def finish(*command, **options):
        process = start(*command, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()

    return finish


@pytest.fixture
def slow(tmp_path):
    def write(*, photo_s=0.05, quick_writes=1000):
        script = tmp_path / "slow.py"
        text = textwrap.dedent(SLOW).format(photo_s=photo_s, quick_writes=quick_writes)
        script.write_text(text, encoding="utf-8")
        return (sys.executable, script)

    return write


@pytest.fixture
def photos(tmp_path, make_photo):
    for number in range(20):
        make_photo(tmp_path / f"in/{number:02}.png", "person")
    return tmp_path


RUN = ("run", "in", "-o", "out", "--remove", "person")


def results(folder):
    """Return the paths in a folder of results, without the journal."""
    return sorted(path for path in folder.iterdir() if path.name != ".cleanplate")


def read_until(stream, word):
    for line in iter(stream.readline, b""):
        if word in line:
            return
    raise AssertionError(f"the process never said {word!r}")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_interrupted_it_leaves_whole_files_and_says_how_many(start, slow, photos, number, code):
    process = start(*slow(), *RUN, "--report", "report.jsonl")
    read_until(process.stdout, b"03.png: filled")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode == code
    done = results(photos / "out")
    records = [json.loads(line) for line in (photos / "report.jsonl").read_text().splitlines()]
    assert 4 <= len(done) < 20
    assert len(done) - 1 <= len(records) <= len(done)
    for path in done:
        assert path.suffix == ".png"
        with Image.open(path) as photo:
            photo.load()
    match = re.search(rb"interrupted: (\d+) of 20 photos done, nothing half-written; ", err)
    assert len(records) - 1 <= int(match[1]) <= len(records)
    assert b"not processed" in out
    assert b"Traceback" not in err

    process = start(*slow(photo_s=0), *RUN)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"{len(done)} skipped (done before)".encode() in out
    assert len(results(photos / "out")) == 20


@pytest.mark.slow
def test_interrupted_while_writing_it_leaves_no_temporary_file(start, slow, photos):
    process = start(*slow(photo_s=0, quick_writes=2), *RUN)
    read_until(process.stderr, b"writing")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert [path.name for path in results(photos / "out")] == ["00.png", "01.png"]
    assert b"interrupted: 2 of 20 photos done" in err


@pytest.mark.slow
def test_a_reader_that_leaves_early_brings_no_traceback(start, slow, photos):
    process = start(*slow(photo_s=0.1), *RUN)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=20) == 1
    assert b"Traceback" not in err
    assert b"Exception" not in err


def run_on_terminal(start, command, kind):
    """Run in a terminal of the given kind and return all that it showed."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {"COLUMNS": "100", "TERM": kind}
    process = start(*command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait(timeout=20) == 0
    return shown


@pytest.mark.slow
def test_a_terminal_shows_a_bar_and_no_lines(start, slow, photos):
    shown = run_on_terminal(start, (*slow(), *RUN), "xterm")
    assert re.search(rb"\d+/20", shown)
    assert b"photos/s" in shown
    assert re.search(rb"0:00:0\d", shown)
    assert b": filled the mask" not in shown
    assert b"20 photos: 20 removed; " in shown


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), [("xterm", ["-v"]), ("dumb", [])])
def test_a_terminal_shows_whole_lines_when_asked_or_unable(start, slow, tmp_path, kind, options):
    folder = "[x]" + "y" * 120  # longer than the terminal is wide
    (tmp_path / "in" / folder).mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / folder / "a.png")
    shown = run_on_terminal(start, (*slow(photo_s=0), *RUN, "-r", *options), kind)
    assert f"in/{folder}/a.png: filled the mask, 100.0 % of the photo, ".encode() in shown


@pytest.mark.slow
def test_names_that_are_no_text_are_printed_as_their_bytes(start, slow, tmp_path, make_photo):
    make_photo(tmp_path / "in/a.png")
    os.rename(os.fsencode(tmp_path) + b"/in/a.png", os.fsencode(tmp_path) + b"/in/\xff\xe4.png")  # noqa: PTH104
    process = start(*slow(photo_s=0), *RUN, env={"PYTHONIOENCODING": "utf-8"})
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out.split(b":")[0]) == (0, b"in/\xff\xe4.png")
    assert {b"\xff\xe4.png", b".cleanplate"} == set(os.listdir(os.fsencode(tmp_path) + b"/out"))  # noqa: PTH208

    name = b"in/\xff\xe4.png"
    process = start(*slow(photo_s=0), "run", name, "-o", "out2", "--remove", "person")
    assert process.communicate(timeout=20)[0].startswith(name)
    assert process.returncode == 0


@pytest.mark.slow
def test_names_beyond_the_terminals_encoding_are_escaped(start, slow, tmp_path, make_photo):
    make_photo(tmp_path / "in/ä猫.png")
    process = start(*slow(photo_s=0), *RUN, env={"PYTHONIOENCODING": "latin-1"})
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out.split(b":")[0]) == (0, b"in/\xe4\\u732b.png")


@pytest.mark.slow
def test_the_installed_command_and_the_module_are_the_same(call):
    command = Path(sys.executable).with_name("cleanplate")
    assert call(command, "--version") == call(*COMMAND, "--version")


@pytest.mark.slow
def test_the_main_job_with_the_real_networks(call, tmp_path):
    data = pytest.importorskip("skimage.data")
    (tmp_path / "in/sub").mkdir(parents=True)
    Image.fromarray(data.astronaut()[::2, ::2]).save(tmp_path / "in/astronaut.jpg", quality=90)
    Image.fromarray(data.coffee()[::2, ::2]).save(tmp_path / "in/sub/coffee.png")
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.*")}

    code, out, err = call(
        *COMMAND, *RUN, "-r", "--report", "report.jsonl", "--masks", "masks", "--device", "cpu"
    )

    assert code == 0, err
    assert out.splitlines()[0].startswith("in/astronaut.jpg: removed 1 person (")
    assert "in/sub/coffee.png: nothing found, copied" in out.splitlines()
    assert "segmenter deeplabv3plus_lite2.voc on CPUExecutionProvider" in err
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == was for path, was in before.items())
    assert (tmp_path / "out/sub/coffee.png").read_bytes() == (
        tmp_path / "in/sub/coffee.png"
    ).read_bytes()
    with Image.open(tmp_path / "out/astronaut.jpg") as result:
        assert (result.format, result.size) == ("JPEG", (256, 256))
    person = json.loads((tmp_path / "report.jsonl").read_text().splitlines()[0])
    assert person["found"][0]["label_id"] == 15
    assert 0.2 < person["mask_share"] < 0.8
    assert person["provider"] == {
        "segmenter": "CPUExecutionProvider",
        "inpainter": "CPUExecutionProvider",
    }

    code, out, err = call(
        *COMMAND, "run", "in", "-r", "-o", "out2", "--mask", "masks", "--inpainter", "telea"
    )
    assert code == 0, err
    assert out.splitlines()[0].startswith("in/astronaut.jpg: filled the mask, ")


@pytest.mark.parametrize("options", [("--remove", "person"), ("--mask", "mask.png")])
def test_a_photo_for_which_a_network_computes_no_numbers_fails_alone(
    cli, make_photo, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    for name in "ac":
        make_photo(f"in/{name}.png")
    Image.new("RGB", (96, 64)).save("in/b.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 255
    Image.fromarray(mask).save("mask.png")
    load = session._plain

    def with_faults(loaded, names):
        def run(tensors):
            is_black = tensors[0][:, 0].mean() < 0.2
            return [output * np.float32(np.nan if is_black else 1) for output in real(tensors)]

        real = load(loaded, names)
        return run

    monkeypatch.setattr(session, "_plain", with_faults)
    ran = cli("run", "in", "-o", "out", "--device", "cpu", *options)
    assert ran.code == 1
    assert re.search(r"in/b\.png: \S+: computes NaN or infinity on the CPU; run 'cleanp", ran.err)
    assert [path.name for path in results(Path("out"))] == ["a.png", "c.png"]


@pytest.mark.slow
def test_raw_and_heic_pass_through_a_process(call, slow, tmp_path):
    pytest.importorskip("rawpy", reason="the extra `raw` is not installed")
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    (tmp_path / "in").mkdir()
    scene = np.full((32, 48, 3), (90, 120, 150), np.uint8)
    (tmp_path / "in/a.dng").write_bytes(dng(scene))
    (tmp_path / "in/b.dng").write_bytes(dng(scene)[:900])
    pillow_heif.from_pillow(Image.fromarray(scene)).save(tmp_path / "in/c.heic")

    code, out, err = call(*slow(photo_s=0), *RUN)
    assert code == 1
    assert "in/b.dng: failed: damaged RAW: " in out
    assert "internal error" not in err
    assert [path.name for path in results(tmp_path / "out")] == ["a.tif", "c.heic"]

    (tmp_path / "in/b.dng").unlink()
    code, out, _ = call(*slow(photo_s=0), *RUN)
    assert (code, out.count("skipped")) == (0, 3)
