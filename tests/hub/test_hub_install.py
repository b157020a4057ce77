"""Pulling and importing: licences, checks, conversion, and two that do it at once."""

import hashlib
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from cleanplate.errors import (
    ChecksumError,
    InputError,
    LicenceError,
    MissingExtraError,
    UnknownNameError,
    WeightsError,
)
from cleanplate.hub import convert
from cleanplate.hub import install as obtain
from cleanplate.hub.convert import Conversion
from cleanplate.hub.install import import_model, pull_model
from cleanplate.hub.registry import get_model
from cleanplate.hub.registry.entry import Licence, ModelFile, TensorSpec
from cleanplate.hub.store import find_file, is_available, read_file, read_manifest

NON_COMMERCIAL = Licence(spdx="CC-BY-NC-4.0", commercial="no", note="for research only")


@pytest.fixture
def mirror(tmp_path, home) -> Path:
    """Return a folder with the files that the models of these tests are made of."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "abc.onnx").write_bytes(b"abc")
    return folder


@pytest.fixture
def published(make_model, registered):
    """Return a model that is published as ONNX."""
    return registered(make_model())


@pytest.fixture
def converter(monkeypatch) -> list[tuple[Path, ...]]:
    """Let a converter that joins its checkpoints stand for PyTorch; return what it was given."""
    given: list[tuple[Path, ...]] = []

    def join(model, checkpoints, folder):
        given.append(tuple(checkpoints))
        folder.mkdir()
        target = folder / model.files[0].filename
        target.write_bytes(b"+".join(path.read_bytes() for path in checkpoints))
        return Conversion(files={"fill": target}, largest_difference={"fill": 2e-6})

    monkeypatch.setattr(obtain, "convert", join)
    monkeypatch.setattr(obtain, "check_can_convert", lambda _: None)
    monkeypatch.setattr(obtain, "converter_versions", lambda _: {"torch": "0.0"})
    return given


@pytest.fixture
def to_convert(make_model, registered, checkpoint, mirror):
    """Return a model that is converted from two checkpoints, which lie in the mirror."""
    (mirror / "abc.pth").write_bytes(b"\x00\x00\x80?\x00\x00\x00@\x00\x00@@")
    (mirror / "more.pth").write_bytes(b"more")
    stated = f"md5:{hashlib.md5(b'more').hexdigest()}"
    more = replace(checkpoint, filename="more.pth", checksum=stated, size_bytes=None)
    return registered(
        make_model(
            files=(ModelFile(role="fill", filename="joined.onnx"),),
            checkpoints=(checkpoint, more),
            converter="join",
        )
    )


# --- pull


def test_a_pulled_model_is_here_and_whole(published, mirror):
    manifest = pull_model("abc.test", mirror=str(mirror))
    assert manifest.origin == "registered"
    assert read_file(published, "fill") == b"abc"
    assert not list((find_file(published, "fill").parents[2] / "incoming").iterdir())


def test_a_model_that_is_here_is_not_fetched_again(published, mirror):
    pull_model("abc.test", mirror=str(mirror))
    (mirror / "abc.onnx").unlink()
    assert pull_model("abc.test", mirror=str(mirror)) == read_manifest(published)
    find_file(published, "fill").write_bytes(b"abd")
    with pytest.raises(ChecksumError, match=r"models remove abc\.test"):
        pull_model("abc.test", mirror=str(mirror))


def test_a_wrong_file_is_not_installed(published, mirror):
    (mirror / "abc.onnx").write_bytes(b"abd")
    with pytest.raises(ChecksumError, match="expected ba7816bf"):
        pull_model("abc.test", mirror=str(mirror))
    assert not is_available(published)


@pytest.mark.parametrize("use", [pull_model, lambda name: import_model(name, [])])
def test_built_in_and_unknown_models_are_refused(home, use):
    with pytest.raises(InputError, match=r"edgeconnect\.photos is built in"):
        use("edgeconnect.photos")
    with pytest.raises(UnknownNameError, match="unknown model 'lamma'"):
        use("lamma")


def test_a_licence_that_forbids_commercial_use_has_to_be_accepted(make_model, registered, mirror):
    model = registered(make_model(licence=NON_COMMERCIAL))
    match = r"abc\.test .*CC-BY-NC-4\.0.*--accept-licence"
    with pytest.raises(LicenceError, match=match):
        pull_model("abc.test", mirror=str(mirror))
    with pytest.raises(LicenceError, match=match):
        import_model("abc.test", [mirror / "abc.onnx"])
    assert not is_available(model)
    pull_model("abc.test", mirror=str(mirror), accept_licence=True)
    assert is_available(model)


def test_a_model_without_an_address_cannot_be_pulled(make_model, registered, home):
    file = replace(make_model().files[0], url=None)
    checkpoints = (obtain.Checkpoint(filename="a.pth", url=None),)
    registered(
        make_model(files=(file,), checkpoints=checkpoints, converter="x", licence=NON_COMMERCIAL)
    )
    match = r"abc\.test .*a\.pth .*https://example\.invalid/abc .*--accept"
    with pytest.raises(WeightsError, match=match):
        pull_model("abc.test")


def test_checkpoints_are_fetched_and_converted(to_convert, mirror, converter):
    manifest = pull_model("abc.test", mirror=str(mirror))
    assert [[path.name for path in paths] for paths in converter] == [["abc.pth", "more.pth"]]
    assert read_file(to_convert, "fill").endswith(b"+more")
    assert manifest.largest_difference == {"fill": 2e-6}
    assert manifest.versions == {"torch": "0.0"}
    assert [file.filename for file in manifest.made_from] == ["abc.pth", "more.pth"]
    assert [file.size_bytes for file in manifest.made_from] == [12, 4]


def test_nothing_is_fetched_before_it_can_be_converted(to_convert, mirror, monkeypatch):
    monkeypatch.setattr(convert, "_NEEDED", ("json", "no_such_package"))
    monkeypatch.setattr(obtain, "fetch_file", None)
    match = r"no_such_package; run .*cleanplate\[convert\]"
    with pytest.raises(MissingExtraError, match=match):
        pull_model("abc.test", mirror=str(mirror))
    with pytest.raises(MissingExtraError, match=match):
        import_model("abc.test", [mirror / "abc.pth", mirror / "more.pth"])


def test_only_what_a_conversion_uses_is_needed(monkeypatch):
    monkeypatch.setattr(
        convert.importlib.util, "find_spec", lambda name: None if name == "transformers" else name
    )
    convert.check_can_convert(get_model("edgeconnect.places2"))
    with pytest.raises(MissingExtraError, match="which needs transformers; run"):
        convert.check_can_convert(get_model("rfdetr_seg_nano.coco"))


def test_a_conversion_that_fails_installs_nothing(to_convert, mirror, converter, monkeypatch):
    def fail(*_: object) -> None:
        raise WeightsError("abc.pth: is not of this architecture")

    monkeypatch.setattr(obtain, "convert", fail)
    with pytest.raises(WeightsError, match="is not of this architecture"):
        pull_model("abc.test", mirror=str(mirror))
    assert not is_available(to_convert)


# --- import


def test_files_are_detected_by_content(to_convert, mirror, converter, tmp_path):
    second, first = tmp_path / "1.bin", tmp_path / "2.bin"
    second.write_bytes((mirror / "more.pth").read_bytes())
    first.write_bytes((mirror / "abc.pth").read_bytes())
    assert import_model("abc.test", [second, first]).origin == "registered"
    assert converter == [(first, second)]
    assert first.exists()


@pytest.mark.usefixtures("to_convert", "converter")
def test_another_number_of_files_is_refused(mirror):
    match = r"2 files \(abc\.pth, more\.pth\), got 1"
    with pytest.raises(InputError, match=match):
        import_model("abc.test", [mirror / "abc.pth"])


def test_the_same_file_twice_is_not_two(to_convert, mirror, converter):
    with pytest.raises(ChecksumError, match="--own-weights"):
        import_model("abc.test", [mirror / "abc.pth", mirror / "abc.pth"])


def test_own_weights_have_to_be_called_so(to_convert, mirror, converter, tmp_path):
    own = tmp_path / "own.pth"
    own.write_bytes(b"own")
    files = [own, mirror / "more.pth"]
    with pytest.raises(ChecksumError, match=r"custom weights .*--own-weights$"):
        import_model("abc.test", files)
    assert not is_available(to_convert)
    assert import_model("abc.test", files, own_weights=True).origin == "own"
    assert read_file(to_convert, "fill") == b"own+more"


def test_own_weights_need_no_licence_of_others(make_model, registered, mirror, network_file):
    model = registered(make_model(licence=NON_COMMERCIAL))
    (mirror / "own.onnx").write_bytes(network_file)
    import_model("abc.test", [mirror / "own.onnx"], own_weights=True)
    assert read_file(model, "fill") == network_file


def test_own_weights_have_to_be_a_network(published, mirror):
    (mirror / "own.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"own\.onnx: .*give an ONNX file$"):
        import_model("abc.test", [mirror / "own.onnx"], own_weights=True)
    assert not is_available(published)


def test_own_weights_in_a_second_file_are_refused(published, network_file, tmp_path):
    """Only the named file would be copied."""
    onnx = pytest.importorskip("onnx")
    own = tmp_path / "own.onnx"
    model = onnx.load_from_string(network_file)
    onnx.save(model, own, save_as_external_data=True, location="own.bin", size_threshold=0)
    with pytest.raises(WeightsError, match=r"own\.onnx: .*External data"):
        import_model("abc.test", [own], own_weights=True)
    assert not is_available(published)


@pytest.mark.parametrize(
    "wanted",
    [
        {"inputs": [TensorSpec("uint8", (1, 3, "H", "W"))]},
        {"inputs": [TensorSpec("float32", (1, 4, "H", "W"))]},
        {"inputs": [TensorSpec("float32", (1, 3, "H"))]},
        {"inputs": [TensorSpec("float32", (1, 3, "H", "W"))] * 2},
        {"outputs": [TensorSpec("float32", (1, 3, "H", "W"))]},
        {"outputs": [TensorSpec("float32", (1, 1, "H", "W"))] * 2},
    ],
    ids=["dtype", "channels", "rank", "inputs", "output channels", "outputs"],
)
def test_own_weights_that_take_or_return_something_else_are_refused(
    make_model, registered, network_file, wanted, tmp_path
):
    model = registered(make_model(files=(replace(make_model().files[0], **wanted),)))
    own = tmp_path / "own.onnx"
    own.write_bytes(network_file)
    with pytest.raises(WeightsError, match=r"own\.onnx: is not abc\.test: .*expected") as refused:
        import_model("abc.test", [own], own_weights=True)
    assert "float32 Nx3xHxW -> float32 Nx1xHxW" in str(refused.value)
    assert not is_available(model)


@pytest.mark.parametrize(
    ("own_side", "wanted_side", "fits"),
    [
        (512, 512, True),
        (None, 512, True),
        (64, 512, False),
        (64, "H", False),
        (3, (3, 4), True),
        (1, "N", True),
        (8, "N", False),
    ],
)
def test_a_side_that_is_not_fixed_fits_any(own_side, wanted_side, fits):
    own, wanted = [("float32", (1, own_side))], [TensorSpec("float32", (1, wanted_side))]
    assert obtain._values_match(own, wanted) is fits


def test_own_files_find_their_roles_in_any_order(home):
    built_in = get_model("edgeconnect.photos")
    files = [find_file(built_in, role) for role in ("fill", "edges")]
    import_model("edgeconnect.own", files)
    for role in ("fill", "edges"):
        assert read_file(get_model("edgeconnect.own"), role) == read_file(built_in, role)
    with pytest.raises(WeightsError, match=r"edges\.onnx: is not edgeconnect\.own: .* -> "):
        import_model("edgeconnect.own", [files[1], files[1]])


@pytest.mark.parametrize("name", ["lama.places", "migan.places2", "deeplabv3plus.own"])
def test_a_network_of_another_model_is_refused(home, name):
    other = find_file(get_model("edgeconnect.photos"), "edges")
    with pytest.raises(WeightsError, match=f"is not {name}"):
        import_model(name, [other], own_weights=True)


def test_where_no_checksum_is_stated_files_are_taken_as_they_are(
    make_model, registered, mirror, converter
):
    (mirror / "a.pth").write_bytes(b"a")
    model = registered(
        make_model(
            files=(ModelFile(role="fill", filename="joined.onnx"),),
            checkpoints=(obtain.Checkpoint(filename="a.pth", url=None),),
            converter="join",
        )
    )
    assert import_model("abc.test", [mirror / "a.pth"]).origin == "unstated"
    assert read_file(model, "fill") == b"a"


@pytest.mark.usefixtures("published")
def test_a_file_that_is_not_there_is_named(mirror):
    with pytest.raises(WeightsError, match=r"none\.onnx: cannot be read \(No such file"):
        import_model("abc.test", [mirror / "none.onnx"])


def test_importing_replaces_what_was_installed(published, mirror, network_file):
    import_model("abc.test", [mirror / "abc.onnx"])
    (mirror / "own.onnx").write_bytes(network_file)
    import_model("abc.test", [mirror / "own.onnx"], own_weights=True)
    assert read_file(published, "fill") == network_file
    import_model("abc.test", [mirror / "abc.onnx"])
    assert read_file(published, "fill") == b"abc"


# --- the folder


def test_a_home_that_cannot_be_made_is_an_error(published, mirror, home):
    home.write_bytes(b"a file")
    with pytest.raises(WeightsError, match=r"incoming: .*CLEANPLATE_HOME"):
        pull_model("abc.test", mirror=str(mirror))


SCRIPT = """
    import sys
    from cleanplate.hub import registry
    from cleanplate.hub.registry import Licence, Model, ModelFile

    file = ModelFile(role="fill", filename="abc.onnx", url="https://example.invalid/1.0/abc.onnx",
                     sha256="{sha256}", size_bytes={size})
    text = dict.fromkeys(("source", "recipe", "training_photos", "choose"), "")
    licence = Licence(spdx="MIT", commercial="yes", note="the publisher says so")
    model = Model(name="abc.test", kind="inpainter", family="edgeconnect", files=(file,),
                  licence=licence, **text)
    registry.MODELS = {{**registry.MODELS, "abc.test": model}}
    from cleanplate.cli import main
    sys.exit(main(["models", "pull", "abc.test", "--from", {mirror!r}]))
"""


def test_another_version_than_the_registered_one_is_not_used(published, mirror, make_model):
    pull_model("abc.test", mirror=str(mirror))
    newer = make_model(files=(replace(published.files[0], sha256="0" * 64),))
    assert not is_available(newer)
    with pytest.raises(WeightsError, match="not the registered one; run"):
        read_file(newer, "fill")


@pytest.mark.slow
def test_processes_that_pull_at_once_all_succeed(make_model, mirror):
    content = b"abc" * 5_000_000
    (mirror / "abc.onnx").write_bytes(content)
    script = textwrap.dedent(SCRIPT).format(
        sha256=hashlib.sha256(content).hexdigest(), size=len(content), mirror=str(mirror)
    )
    command = [sys.executable, "-c", script]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert all(out.startswith("abc.test is ") for out, _ in said)
    file = replace(
        make_model().files[0],
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    assert read_file(make_model(files=(file,)), "fill") == content


def test_what_a_killed_process_left_is_removed_after_a_week(published, mirror, home):
    old, new = (home / "incoming" / name for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"half")
    os.utime(old, (1, 1))
    pull_model(published.name, mirror=str(mirror), accept_licence=True)
    assert (old.exists(), new.exists()) == (False, True)
