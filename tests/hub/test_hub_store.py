"""A model file that is missing, short or changed is never used."""

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cleanplate.errors import ChecksumError, PhotoError, WeightsError
from cleanplate.hub import store
from cleanplate.hub.registry import MODELS
from cleanplate.hub.registry.entry import Checkpoint
from cleanplate.hub.store import (
    Manifest,
    StoredFile,
    find_file,
    home,
    install,
    is_available,
    is_installed,
    model_folder,
    network_roles,
    read_file,
    read_manifest,
    remove_model,
    verify_file,
)
from cleanplate.inpainting import create_inpainter
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import Divider, Outliner, Recognizer
from cleanplate.segmentation.effects import EffectsDetector

BUILT_IN = [
    (model, role)
    for model in MODELS.values()
    if model.is_built_in
    for role in network_roles(model, on_cpu=True).values()
]


# --- built in


@pytest.fixture
def built_in(tmp_path, monkeypatch, make_model):
    """Return a model whose file would lie in the package, and the folder that stands for that."""
    monkeypatch.setattr(store, "_BUILT_IN", tmp_path)
    model = make_model()
    return replace(model, is_built_in=True, files=(replace(model.files[0], url=None),))


def test_the_registered_file_is_read_and_verified(built_in, tmp_path):
    path = tmp_path / "abc.onnx"
    path.write_bytes(b"abc")
    assert is_available(built_in)
    assert find_file(built_in, "fill") == path
    assert read_file(built_in, "fill") == b"abc"
    assert verify_file(built_in, "fill") == path


@pytest.mark.parametrize("use", [find_file, read_file, verify_file])
def test_a_missing_file_says_to_reinstall(built_in, use):
    assert not is_available(built_in)
    with pytest.raises(WeightsError, match=r"abc\.onnx: .*missing; reinstall"):
        use(built_in, "fill")


def test_a_folder_in_its_place_is_no_file(built_in, tmp_path):
    (tmp_path / "abc.onnx").mkdir()
    with pytest.raises(WeightsError, match="is missing"):
        find_file(built_in, "fill")


@pytest.mark.parametrize("use", [read_file, verify_file])
@pytest.mark.parametrize("content", [b"", b"ab", b"abcd"])
def test_a_file_of_another_size_states_both(built_in, tmp_path, use, content):
    (tmp_path / "abc.onnx").write_bytes(content)
    match = rf"abc\.onnx: {len(content)} bytes, expected 3; .* reinstall"
    with pytest.raises(ChecksumError, match=match):
        use(built_in, "fill")


@pytest.mark.parametrize("use", [read_file, verify_file])
def test_changed_bytes_state_both_hashes(built_in, tmp_path, use):
    (tmp_path / "abc.onnx").write_bytes(b"abd")
    match = r"SHA-256 a52d159f\w+, expected ba7816bf\w+; "
    with pytest.raises(ChecksumError, match=match):
        use(built_in, "fill")


def test_an_unreadable_file_says_why(built_in, tmp_path, monkeypatch):
    (tmp_path / "abc.onnx").write_bytes(b"abc")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(WeightsError, match=r"abc\.onnx: .*Permission denied"):
        read_file(built_in, "fill")


@pytest.mark.parametrize(
    ("model", "role"), BUILT_IN, ids=lambda value: getattr(value, "name", value)
)
def test_no_network_is_loaded_from_a_changed_file(tmp_path, monkeypatch, model, role):
    for path in Path(store.__file__).parent.glob("data/*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(store, "_BUILT_IN", tmp_path)
    path = find_file(model, role)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    create = {
        "segmenter": create_segmenter,
        "inpainter": create_inpainter,
        "effects": EffectsDetector,
        "divider": lambda _, device: Divider(device=device).provider,
        "recognizer": lambda _, device: Recognizer(device=device).provider,
        "outliner": lambda _, device: Outliner(device=device).provider,
    }[model.kind]
    with pytest.raises(ChecksumError, match=path.name):
        create(model.name, device="cpu")


# --- installed


@pytest.fixture
def abc(tmp_path) -> Path:
    path = tmp_path / "abc.onnx"
    path.write_bytes(b"abc")
    return path


def test_the_folder_is_the_users_choice_or_the_systems(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("CLEANPLATE_HOME", "~/models")
    assert home() == Path.home() / "models"
    monkeypatch.setenv("CLEANPLATE_HOME", "")
    assert home().is_absolute()
    assert "cleanplate" in str(home())


@pytest.mark.parametrize("use", [find_file, read_file, verify_file])
def test_a_model_that_is_not_here_says_how_to_get_it(home, make_model, use):
    assert not is_available(make_model())
    assert not is_installed(make_model())
    match = r"^abc\.test is not installed; run 'cleanplate models pull abc\.test'$"
    with pytest.raises(WeightsError, match=match):
        use(make_model(), "fill")


def test_a_model_without_address_says_where_to_find_its_files(home, make_model):
    files = (Checkpoint(filename="a.pth", url=None), Checkpoint(filename="b.pth", url=None))
    model = make_model(files=(), checkpoints=files, converter="x")
    match = (
        r"get a\.pth b\.pth from https://example\.invalid/abc and run "
        r"'cleanplate models import abc\.test a\.pth b\.pth'$"
    )
    with pytest.raises(WeightsError, match=match):
        read_manifest(model)


@pytest.mark.usefixtures("home")
def test_what_is_installed_is_read_back(make_model, abc):
    model = make_model()
    made_from = (StoredFile(filename="x.pth", sha256="0" * 64, size_bytes=7),)
    written = install(
        model,
        {"fill": abc},
        made_from=made_from,
        origin="own",
        largest_difference={"fill": 1e-5},
        versions={"torch": "2"},
    )
    assert read_manifest(model) == written
    assert (written.origin, written.made_from) == ("own", made_from)
    assert is_available(model)
    assert is_installed(model)
    assert read_file(model, "fill") == b"abc"
    assert verify_file(model, "fill").name == "abc-ba7816bf.onnx"
    assert abc.read_bytes() == b"abc"


@pytest.mark.usefixtures("home")
def test_installing_again_replaces_and_leaves_nothing_behind(make_model, abc):
    model = make_model()
    install(model, {"fill": abc})
    abc.write_bytes(b"abcd")
    install(model, {"fill": abc}, origin="own")
    assert read_file(model, "fill") == b"abcd"
    names = sorted(path.name for path in model_folder(model).iterdir())
    assert names == ["abc-88d4266f.onnx", "manifest.json"]
    install(model, {"fill": abc}, origin="own")
    assert read_file(model, "fill") == b"abcd"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("content", [b"", b"ab", b"abd", b"abcd"])
def test_an_installed_file_that_was_changed_is_not_used(make_model, abc, content):
    model = make_model()
    install(model, {"fill": abc})
    find_file(model, "fill").write_bytes(content)
    match = r"abc-ba7816bf\.onnx: .*run 'cleanplate models remove abc\.test', then run 'cleanplate"
    with pytest.raises(ChecksumError, match=match):
        read_file(model, "fill")


@pytest.mark.usefixtures("home")
def test_an_installed_file_that_was_deleted_is_missing(make_model, abc):
    model = make_model()
    install(model, {"fill": abc})
    find_file(model, "fill").unlink()
    assert not is_available(model)
    assert is_installed(model)
    with pytest.raises(WeightsError, match=r"model file is missing; run 'cleanplate models remove"):
        read_file(model, "fill")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "is damaged"),
        (b"{}", "is damaged"),
        (b'{"files": {}, "made_from": []}', "lacks fill"),
        (b'{"files": {"fill": {"filename": "x"}}, "made_from": []}', "is damaged"),
        (b'{"files": {}, "made_from": [], "more": 1}', "is damaged"),
    ],
)
def test_a_damaged_manifest_is_an_error_with_the_way_out(make_model, abc, content, match):
    model = make_model()
    install(model, {"fill": abc})
    (model_folder(model) / "manifest.json").write_bytes(content)
    assert not is_available(model)
    with pytest.raises(WeightsError, match=rf"manifest\.json: {match}.*models remove abc\.test"):
        read_file(model, "fill")


@pytest.mark.usefixtures("home")
def test_removing_deletes_it_and_says_whether_it_was_there(make_model, abc):
    model = make_model()
    install(model, {"fill": abc})
    assert remove_model(model)
    assert not model_folder(model).exists()
    assert not remove_model(model)


@pytest.mark.usefixtures("home")
def test_a_model_that_cannot_be_written_is_an_error(make_model, abc, monkeypatch):
    full = PhotoError(abc, "the disk is full", "free some space")

    def refuse(path, content):
        raise full

    monkeypatch.setattr("cleanplate.io.write_bytes_atomic", refuse)
    with pytest.raises(WeightsError, match=r"abc\.onnx: the disk is full; free some space"):
        install(make_model(), {"fill": abc})
    assert not is_available(make_model())


@pytest.mark.usefixtures("home")
def test_two_that_install_at_once_both_end_with_a_whole_model(make_model, tmp_path):
    model = make_model()
    contents = [bytes([number]) * 200_000 for number in range(8)]
    paths = [tmp_path / f"{number}" / "abc.onnx" for number in range(8)]
    for path, content in zip(paths, contents, strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    threads = [
        threading.Thread(target=install, args=(model, {"fill": path}), kwargs={"origin": "own"})
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_file(model, "fill") in contents


@pytest.mark.parametrize("last", ["install", "remove"])
@pytest.mark.usefixtures("home")
def test_who_replaces_a_model_deletes_no_file_of_the_next_one(
    make_model, tmp_path, monkeypatch, last
):
    model = make_model()
    paths = [tmp_path / name / "abc.onnx" for name in ("former", "new")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    install(model, {"fill": paths[0]}, origin="own")

    def follow():
        if last == "remove":
            assert remove_model(model)
        install(model, {"fill": paths[0]}, origin="own")

    unlink, next_one = Path.unlink, threading.Thread(target=follow)

    def unlink_late(path, **options):
        if path.suffix == ".onnx" and next_one.ident is None:
            next_one.start()
            next_one.join(0.3)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink_late)
    install(model, {"fill": paths[1]}, origin="own")
    next_one.join()
    assert read_file(model, "fill") == b"former"
    assert len(list(model_folder(model).iterdir())) == 2


@pytest.mark.usefixtures("home")
def test_of_two_who_delete_a_model_at_once_one_does(make_model, abc, monkeypatch):
    model = make_model()
    install(model, {"fill": abc})
    rmtree, results = store.shutil.rmtree, []
    second = threading.Thread(target=lambda: results.append(remove_model(model)))

    def delete_late(folder):
        second.start()  # it finds the folder, and waits
        second.join(0.3)
        rmtree(folder)

    monkeypatch.setattr(store.shutil, "rmtree", delete_late)
    assert remove_model(model)
    second.join()
    assert results == [False]
    assert not model_folder(model).exists()


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "no locks")])
@pytest.mark.usefixtures("home")
def test_a_disk_without_locks_will_do(make_model, abc, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr("filelock.FileLock._acquire", refuse)
    install(make_model(), {"fill": abc})
    assert remove_model(make_model())
    error = OSError(errno.EROFS, "read-only file system")
    with pytest.raises(WeightsError, match="cannot be locked"):
        install(make_model(), {"fill": abc})


@pytest.mark.usefixtures("home")
def test_the_manifest_is_plain_json(make_model, abc):
    model = make_model()
    install(model, {"fill": abc})
    shown = json.loads((model_folder(model) / "manifest.json").read_text(encoding="utf-8"))
    assert shown["files"]["fill"]["size_bytes"] == 3
    assert shown["origin"] == "registered"
    assert Manifest(files={}).origin == "registered"


@pytest.mark.skipif(os.name == "nt", reason="rights of folders")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
def test_a_folder_that_may_not_be_changed_is_an_error(make_model, abc, home):
    model = make_model()
    install(model, {"fill": abc})
    model_folder(model).chmod(0o500)
    try:
        with pytest.raises(WeightsError, match="cannot be deleted"):
            remove_model(model)
    finally:
        model_folder(model).chmod(0o700)
