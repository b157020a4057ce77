"""A model file that is missing, short or changed is never used."""

from pathlib import Path

import pytest

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.inpainters import create_inpainter
from cleanplate.models import store
from cleanplate.models.registry import MODELS, ModelFile
from cleanplate.models.store import find_file, read_file, verify_file
from cleanplate.segmenters import create_segmenter

# printf abc | sha256sum; the first example of FIPS 180-2
ABC = ModelFile(
    role="fill",
    filename="abc.onnx",
    sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    size_bytes=3,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_BUILT_IN", tmp_path)
    return tmp_path


@pytest.fixture
def copied(folder, request):
    """Return the folder with a copy of every built-in file."""
    source = Path(store.__file__).parent / "data"
    for path in source.glob("*.onnx"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_registered_file_is_read_and_verified(folder):
    path = folder / "abc.onnx"
    path.write_bytes(b"abc")
    assert find_file(ABC) == path
    assert read_file(ABC) == b"abc"
    assert verify_file(ABC) == path


@pytest.mark.parametrize("use", [find_file, read_file, verify_file])
def test_a_missing_file_says_to_reinstall(folder, use):
    with pytest.raises(WeightsError, match=r"abc\.onnx: built-in model file is missing; reinstall"):
        use(ABC)


def test_a_folder_in_its_place_is_no_file(folder):
    (folder / "abc.onnx").mkdir()
    with pytest.raises(WeightsError, match="is missing"):
        find_file(ABC)


@pytest.mark.parametrize("use", [read_file, verify_file])
@pytest.mark.parametrize("content", [b"", b"ab", b"abcd"])
def test_a_file_of_another_size_states_both(folder, use, content):
    (folder / "abc.onnx").write_bytes(content)
    match = rf"abc\.onnx: {len(content)} bytes, registered are 3; .* reinstall"
    with pytest.raises(ChecksumError, match=match):
        use(ABC)


@pytest.mark.parametrize("use", [read_file, verify_file])
def test_changed_bytes_state_both_hashes(folder, use):
    (folder / "abc.onnx").write_bytes(b"abd")
    with pytest.raises(ChecksumError, match=rf"SHA-256 a52d159f\w+, registered is {ABC.sha256}; "):
        use(ABC)


def test_an_unreadable_file_says_why(folder, monkeypatch):
    (folder / "abc.onnx").write_bytes(b"abc")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(WeightsError, match=r"abc\.onnx: cannot be read \(Permission denied\)"):
        read_file(ABC)


@pytest.mark.parametrize("filename", [f.filename for m in MODELS.values() for f in m.files])
def test_no_network_is_loaded_from_a_changed_file(copied, filename):
    content = bytearray((copied / filename).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / filename).write_bytes(content)
    create = create_segmenter if "deeplab" in filename else create_inpainter
    with pytest.raises(ChecksumError, match=filename):
        create(device="cpu")
