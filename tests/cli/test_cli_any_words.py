"""Words that no list of labels has: which models take them is reported, and every command does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import cleanplate
from cleanplate.errors import UnknownNameError
from cleanplate.hub.registry import get_model
from cleanplate.hub.store import install

CLIPSEG = "clipseg_rd64.phrasecut"
TO_GET_IT = (
    f"--segmenter {CLIPSEG} accepts any words (to get it run 'cleanplate models pull {CLIPSEG}')"
)
HERE = f"--segmenter {CLIPSEG} accepts any words (it is installed)"


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))


@pytest.fixture
def clipseg_here(tmp_path):
    """Install a stand-in for CLIPSeg that takes what is red for whatever is asked for."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, values, kind):
        return numpy_helper.from_array(np.array(values, kind), name)

    def write(path, nodes, inputs, output, constants):
        graph = helper.make_graph(nodes, "standin", inputs, [output], constants)
        opset = helper.make_opsetid("", 18)
        path.write_bytes(
            helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
        )
        return path

    value = helper.make_tensor_value_info
    embeddings = value("embeddings", TensorProto.FLOAT, ["N", 512])
    text = write(
        tmp_path / "text.onnx",
        [
            helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["numbers", "axis"], ["sums"]),  # (1, 1)
            helper.make_node("Expand", ["sums", "size"], ["embeddings"]),
        ],
        [value("ids", TensorProto.INT64, ["N", "L"])],
        embeddings,
        [constant("axis", [1], np.int64), constant("size", [1, 512], np.int64)],
    )
    segment = write(
        tmp_path / "segment.onnx",
        [
            helper.make_node("Split", ["pixels", "parts"], ["red", "green", "blue"], axis=1),
            helper.make_node("Sub", ["red", "green"], ["redder"]),
            helper.make_node("Sub", ["redder", "two"], ["surely"]),
            helper.make_node("Mul", ["surely", "four"], ["planes"]),  # (1, 1, 352, 352)
            helper.make_node("Squeeze", ["planes", "axis"], ["plane"]),
            helper.make_node("ReduceSum", ["embeddings", "axis"], ["sums"]),  # (N, 1)
            helper.make_node("Mul", ["sums", "zero"], ["zeros"]),
            helper.make_node("Unsqueeze", ["zeros", "last"], ["none"]),
            helper.make_node("Add", ["plane", "none"], ["logits"]),
        ],
        [value("pixels", TensorProto.FLOAT, [1, 3, 352, 352]), embeddings],
        value("logits", TensorProto.FLOAT, ["N", 352, 352]),
        [
            constant("parts", [1, 1, 1], np.int64),
            constant("axis", [1], np.int64),
            constant("last", [2], np.int64),
            constant("two", 2.0, np.float32),
            constant("four", 4.0, np.float32),
            constant("zero", 0.0, np.float32),
        ],
    )
    for path in (text, segment):
        onnx.checker.check_model(str(path))
    merges = tmp_path / "merges.txt"
    merges.write_text("r e\n")
    install(get_model(CLIPSEG), {"text": text, "segment": segment, "merges": merges}, origin="own")


@pytest.fixture
def photos(make_photo):
    make_photo("in/a.png", "person", "car")  # a red and a blue square
    make_photo("in/b.png", "car")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_who_takes_any_words_is_reported_in_one_line(cli, photos, command):
    ran = cli(command, "in", "-o", "out", "--remove", "red car")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"cleanplate: error: unknown label 'red car'; known: .*\n", ran.err)
    assert ran.err.endswith(f"tvmonitor. Did you mean 'car'? {TO_GET_IT}\n")
    assert ran.err.count(CLIPSEG) == 2
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["persn", "21", "aeroplan"])
def test_it_is_not_reported_of_misspellings_and_numbers(cli, photos, name):
    assert "accepts any words" not in cli("run", "in", "-o", "out", "--remove", name).err


def test_in_python_too():
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(UnknownNameError, match=re.escape(f"tvmonitor. {TO_GET_IT}")):
        cleanplate.remove(image, ["shipping container"])


def test_that_it_is_here_already_is_reported(cli, photos, clipseg_here):
    ran = cli("run", "in", "-o", "out", "--remove", "shipping container")
    assert ran.err.endswith(f"tvmonitor. {HERE}\n")
    ran = cli("evaluate", "in", "--masks", "in", "--remove", "shipping container")
    assert (ran.code, ran.err.endswith(f"tvmonitor. {HERE}\n")) == (2, True)


def results(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


WORDS = ("--segmenter", CLIPSEG, "--remove", "Red  box", "--dilate", 3)
FILLED = ("--inpainter", "telea", "--report")


def test_two_stages_are_a_run_and_redo_repeats_it(cli, photos, clipseg_here):
    ran = cli("run", "in", "-o", "out", *WORDS, *FILLED, "out.jsonl")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[1] == "2 photos, removing red box"
    assert ran.out.startswith("in/a.png: removed 1 red box (0.")
    assert results("out")["b.png"] == Path("in/b.png").read_bytes()

    assert cli("plan", "in", "-o", "masks", *WORDS).code == 0
    ran = cli("fill", "in", "--masks", "masks", "-o", "filled", *FILLED, "filled.jsonl")
    assert ran.code == 0, ran.err
    assert results("filled") == results("out")
    assert json.loads(Path("masks/a.json").read_text())["settings"]["classes"] == ["red box"]

    Path("list.txt").write_text("in/a.png\n")
    for folder in ("out", "filled"):
        before = results(folder)
        Path(folder, "a.png").write_bytes(b"spoilt")
        ran = cli("redo", folder, "--list", "list.txt", "--from", f"{folder}.jsonl")
        assert ran.code == 0, ran.err
        assert results(folder) == before
    other = ("--from", "out.jsonl", "--remove", "crate")
    ran = cli("redo", "out", "--list", "list.txt", *other)
    assert ran.out.startswith("in/a.png: removed 1 crate (0.")
