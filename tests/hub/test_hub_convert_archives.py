"""Archives are read for their tensors; what else they hold is never run."""

import pickle
import sys
import zipfile

import pytest

from cleanplate.errors import WeightsError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # loads PyTorch

from cleanplate.hub.convert.archives import load_tensors  # noqa: E402


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_an_archive_is_not_run_and_the_tensors_are_found(tmp_path):
    trap, path = tmp_path / "trap", tmp_path / "x.ckpt"
    torch.save({"bomb": Bomb(trap), "state": {"a": torch.arange(6).view(2, 3).T}}, path)

    found = load_tensors(path)

    assert list(found) == ["state.a"]
    torch.testing.assert_close(found["state.a"], torch.arange(6).view(2, 3).T)
    assert not trap.exists()
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        assert b"open" in archive.read(pickled), "the test's own trap is not set"


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_tensors_of_any_kind(tmp_path, dtype, shape):
    tensor = (torch.rand(shape) * 2).to(dtype)
    content = {"list": [torch.nn.Parameter(tensor)] if dtype.is_floating_point else [tensor]}
    torch.save(content, tmp_path / "x.pth")
    (found,) = load_tensors(tmp_path / "x.pth").values()
    assert found.dtype == dtype
    torch.testing.assert_close(found, tensor)


def test_tensors_that_share_a_storage(tmp_path):
    whole = torch.arange(10.0)
    torch.save({"whole": whole, "part": whole[3:5]}, tmp_path / "x.pth")
    assert load_tensors(tmp_path / "x.pth")["part"].tolist() == [3, 4]


class Node:
    """As the nodes of OmegaConf and other hyper-parameters: each knows its parent."""

    def __init__(self, parent=None, **children) -> None:
        self.parent, self.children = parent, children
        for child in children.values():
            child.parent = self


def test_objects_that_refer_back_and_long_chains_end(tmp_path):
    chain = None
    for _ in range(3000):
        chain = [chain]
    shared = {"weight": torch.ones(2)}
    tree = Node(training=Node(), data=Node(more=Node()))
    content = {"hyper_parameters": tree, "chain": chain, "state_dict": shared, "again": [shared]}
    content["self"] = content
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # to write it
    torch.save(content, tmp_path / "x.ckpt")
    sys.setrecursionlimit(limit)
    assert list(load_tensors(tmp_path / "x.ckpt")) == ["state_dict.weight"]


def write_zip(path, name, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("big-lama/models/best.ckpt", b"", "is not a PyTorch archive; .*unpack it first"),
        ("x/data.pkl", b"", "cannot be read as a PyTorch archive"),
        ("x/data.pkl", pickle.dumps({}, 2)[:-1], "cannot be read as a PyTorch archive"),
    ],
    ids=["zip of checkpoints", "empty", "cut off"],
)
def test_other_archives_are_refused(tmp_path, name, content, match):
    path = tmp_path / "x.pt"
    write_zip(path, name, content)
    with pytest.raises(WeightsError, match=rf"x\.pt: {match}"):
        load_tensors(path)


def test_a_storage_that_is_missing_or_too_short_is_reported(tmp_path):
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save({"a": torch.rand(100)}, whole)
    for shorter in (True, False):
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(cut, "w") as target:
            for name in source.namelist():
                storage = "/data/" in name
                if not storage or shorter:
                    content = source.read(name)
                    target.writestr(name, content[:40] if storage else content)
        with pytest.raises(WeightsError, match=r"cut\.pth: .*PyTorch archive"):
            load_tensors(cut)


def test_what_is_no_archive_is_read_as_any_checkpoint(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match=r"x\.pt: is not a checkpoint of tensors only"):
        load_tensors(tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="no such file"):
        load_tensors(tmp_path / "y.pt")
