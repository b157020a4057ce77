"""Models that travel from the machine that starts a run to one that lacks them."""

import os

import pytest

from cleanplate.distributed.cluster import first_cause
from cleanplate.distributed.config import Workers
from cleanplate.distributed.model_transfer import hashes_of, pack_models, unpack_models
from cleanplate.errors import ChecksumError, InputError, WeightsError
from cleanplate.hub import store
from cleanplate.hub.registry import get_model

OWN = get_model("edgeconnect.own")


def never():
    raise AssertionError("fetched")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    files = {}
    for file in OWN.files:
        files[file.role] = tmp_path / f"{file.role}.onnx"
        files[file.role].write_bytes(file.role.encode() * 100)
    store.install(OWN, files, origin="own")
    return pack_models([OWN.name, "deeplabv3plus_lite2.voc", "telea", object()])


def test_only_models_that_are_not_built_in_travel(packed):
    assert set(packed) == {OWN.name}
    assert len(packed[OWN.name]) == len(OWN.files) + 1
    assert pack_models(["deeplabv3plus_lite2.voc", "telea"]) == {}


def test_a_machine_that_has_them_fetches_nothing(packed, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", os.environ["CLEANPLATE_HOME"])
    before = os.environ["CLEANPLATE_HOME"]
    unpack_models(hashes_of(packed), never)
    assert os.environ["CLEANPLATE_HOME"] == before


def test_another_machine_writes_them_once_and_leaves_its_own_alone(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "other"))
    for fetch in (lambda: packed, never):
        monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "other"))
        unpack_models(hashes_of(packed), fetch)
        assert store.read_file(OWN, OWN.files[0].role) == OWN.files[0].role.encode() * 100
        assert store.home().is_relative_to(tmp_path / "other" / "cluster")
    assert not (tmp_path / "other" / "models").exists()


def test_what_came_damaged_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "other"))
    damaged = {OWN.name: {name: content + b"x" for name, content in packed[OWN.name].items()}}
    with pytest.raises(ChecksumError, match=f"{OWN.name}: .*damaged"):
        unpack_models(hashes_of(packed), lambda: damaged)


def test_a_folder_that_cannot_be_written_is_reported(packed, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(WeightsError, match="set CLEANPLATE_HOME to a folder"):
        unpack_models(hashes_of(packed), lambda: packed)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "--workers 0"),
        ({"cpus": 0}, "0 processor cores"),
        ({"gpus": -1}, "-1 GPUs"),
        ({"gpus": 1.5}, "a fraction of 1, or an integer"),
    ],
)
def test_workers_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Workers(**wrong)
    assert Workers(cpus=2.5, gpus=0.25).threads == 2


def test_the_cause_is_found_in_what_ray_tells():
    records = (
        "ActorDiedError: ...\n  raise\ncleanplate.errors.WeightsError: x is missing; pull it\n"
    )
    assert str(first_cause(RuntimeError(records))) == "x is missing; pull it"
    assert "Ray stopped the run: boom" in str(first_cause(RuntimeError("a\n  boom \n")))
