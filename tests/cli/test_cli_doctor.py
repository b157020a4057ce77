"""The doctor tells what is here, what is missing and why, and times a photo."""

import json

import pytest
from PIL import Image

from cleanplate import __version__
from cleanplate.cli.commands import doctor
from cleanplate.cli.commands.doctor import diagnose
from cleanplate.errors import ChecksumError, MissingRuntimeError, PhotoError, UnknownNameError
from cleanplate.runtime.devices import DEVICES, usable_cores


def test_tells_versions_machine_devices_and_models():
    found = diagnose(timed=False)
    assert found.versions["cleanplate"] == __version__
    assert {"python", "numpy", "pillow", "onnxruntime"} <= set(found.versions)
    assert (found.cores, found.timing, found.problems) == (usable_cores(), None, ())
    assert found.memory_bytes is None or found.memory_bytes > 1e8
    assert set(found.devices) == set(DEVICES) - {"auto"}
    assert found.devices["cpu"] is None
    absent = [reason for reason in found.devices.values() if reason]
    assert absent
    assert all("; it needs " in reason for reason in absent)
    assert [model.problem for model in found.models] == [None] * 6
    assert found.variables["CLEANPLATE_HOME"]


@pytest.mark.slow
def test_times_a_photo_of_its_own_by_stage():
    timing = diagnose().timing
    assert timing is not None
    assert timing.size_wh == (800, 600)
    stages = dict(timing.stages_s)
    total = stages.pop("total")
    assert {"load", "read", "find", "mask", "fill", "encode"} <= set(stages)
    assert total == pytest.approx(sum(stages.values()))
    assert stages["fill"] > 0.01, "nothing was filled"


@pytest.mark.slow
def test_times_the_users_photo(tmp_path, rocket):
    Image.fromarray(rocket).resize((96, 64)).save(tmp_path / "rocket.png")
    timing = diagnose(tmp_path / "rocket.png", device="cpu").timing
    assert timing is not None
    assert (timing.size_wh, timing.segmenter) == ((96, 64), "CPUExecutionProvider")


def test_a_photo_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(PhotoError, match="no such file"):
        diagnose(tmp_path / "none.jpg")


def test_an_unknown_device_is_an_error(tmp_path, rocket):
    Image.fromarray(rocket[:32, :32]).save(tmp_path / "a.png")
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'"):
        diagnose(tmp_path / "a.png", device="gpu")


def test_a_broken_model_is_a_problem_and_nothing_is_timed(monkeypatch):
    def broken(model, role):
        raise ChecksumError(f"{role}: was changed")

    monkeypatch.setattr("cleanplate.hub.verify_file", broken)
    found = diagnose()
    assert found.problems[0] == "deeplabv3plus_lite2.voc: segment: was changed"
    assert found.timing is None


def test_a_missing_runtime_is_a_problem(monkeypatch):
    def missing(device, content):
        raise MissingRuntimeError("ONNX Runtime is not installed; run 'pip install onnxruntime'")

    monkeypatch.setattr("cleanplate.runtime.unavailable_reason", missing)
    found = diagnose()
    assert found.problems[0].startswith("ONNX Runtime is not installed")
    assert found.devices == {}


@pytest.mark.parametrize(("limit", "expected"), [("max", None), ("123456", 123456), ("", None)])
def test_memory_is_the_machines_or_the_groups(monkeypatch, tmp_path, limit, expected):
    machine = doctor._memory_bytes()
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(doctor, "_CGROUP_LIMIT", tmp_path / "memory.max")
    if machine is not None and expected is not None:
        assert doctor._memory_bytes() == expected
    monkeypatch.setattr(doctor, "_CGROUP_LIMIT", tmp_path / "none")
    assert doctor._memory_bytes() is None or doctor._memory_bytes() > 1e8


# --- the command


def run(capsys, *words: str) -> tuple[int, str, str]:
    from cleanplate.cli import main

    capsys.readouterr()
    code = main(["doctor", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_prints_all_of_it(capsys):
    code, out, err = run(capsys, "--no-time")
    assert (code, err) == (0, "")
    for text in (f"cleanplate {__version__}", "Machine: ", "  cpu       works", "  convert   "):
        assert text in out
    assert "edgeconnect.photos: built in, verified" in out
    assert "One photo" not in out


def test_the_command_times_a_photo(capsys, tmp_path, rocket):
    Image.fromarray(rocket).resize((96, 64)).save(tmp_path / "rocket.png")
    code, out, _ = run(capsys, "--photo", str(tmp_path / "rocket.png"))
    assert code == 0
    assert "One photo of 96x64 px" in out
    assert "100%" in out


def test_the_command_prints_json(capsys):
    code, out, _ = run(capsys, "--no-time", "--json")
    records = json.loads(out)
    assert code == 0
    assert records["devices"]["cpu"] is None
    assert records["models"][0] == {
        "name": "deeplabv3plus_lite2.voc", "where": "built in", "problem": None,
    }  # fmt: skip


def test_the_command_fails_if_photos_cannot_be_done(capsys, monkeypatch):
    def broken(model, role):
        raise ChecksumError(f"{role}: was changed")

    monkeypatch.setattr("cleanplate.hub.verify_file", broken)
    code, _, err = run(capsys, "--no-time")
    assert code == 1
    assert "cleanplate: error: edgeconnect.photos: edges: was changed" in err
