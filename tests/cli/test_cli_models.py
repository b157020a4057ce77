"""`cleanplate labels`, `cleanplate models`, and what concerns all commands."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cleanplate import __version__
from cleanplate import cli as cli_module
from cleanplate.cli.commands import models
from cleanplate.errors import ChecksumError
from cleanplate.hub import checksum_of, store
from cleanplate.hub.registry import MODELS, get_model
from cleanplate.hub.registry.entry import Licence, ModelFile
from cleanplate.labels import VOC_LABELS, aliases_of


def test_labels_lists_ids_names_and_other_words(cli):
    ran = cli("labels")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [
        [str(number), label] for number, label in enumerate(VOC_LABELS, start=1)
    ]
    also = [
        line[line.index(label) + len(label) :].strip()
        for line, label in zip(ran.out.splitlines()[1:], VOC_LABELS, strict=True)
    ]
    assert also == [", ".join(aliases_of(label)) for label in VOC_LABELS]


def test_labels_of_a_segmenter(cli):
    assert cli("labels", "--segmenter", "deeplabv3plus_lite2.voc").out == cli("labels").out
    ran = cli("labels", "--segmenter", "edgeconnect.photos")
    assert ran.code == 2
    assert "unknown segmenter 'edgeconnect.photos'; known: " in ran.err


# --- models


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Register a model of three bytes and return the folder it can be pulled from."""
    file = ModelFile(
        role="fill",
        filename="abc.onnx",
        url="https://example.invalid/1.0/abc.onnx",
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # of "abc"
        size_bytes=3,
    )
    model = replace(
        MODELS["edgeconnect.photos"],
        name="small.test",
        is_built_in=False,
        files=(file,),
        licence=Licence(spdx="CC-BY-NC-4.0", commercial="no", note="for research only"),
        pages=("https://example.invalid/",),
    )
    models = {**MODELS, model.name: model}
    monkeypatch.setattr("cleanplate.hub.registry.MODELS", models)
    monkeypatch.setattr("cleanplate.hub.MODELS", models)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "abc.onnx").write_bytes(b"abc")
    return tmp_path / "mirror"


def test_models_list_is_a_table_with_one_row_for_each(cli, home):
    ran = cli("models", "list")
    assert ran.code == 0
    lines = ran.out.splitlines()
    starts = [lines[0].index(heading) for heading in lines[0].split("  ") if heading]
    rows = [
        [line[start:end].strip() for start, end in pairwise((*starts, None))] for line in lines[1:]
    ]
    assert [row[0] for row in rows[:-2]] == list(MODELS)
    for name, kind, _, licence, commercial, _, advice in rows[:-2]:
        model = MODELS[name]
        assert (kind, commercial, advice) == (model.kind, model.licence.commercial, model.advice)
        assert licence in model.licence.spdx or licence == "not stated"
        assert f"licence   {licence}, " in cli("models", "show", name).out
    assert "telea, navier-stokes (OpenCV)" in ran.out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.integers(40, 300))
def test_a_narrow_terminal_shows_all_of_the_table(cli, home, columns):
    whole = cli("models", "list").out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "is_terminal", lambda stream: True)
        patch.setenv("COLUMNS", str(columns))
        shown = cli("models", "list").out
    assert shown.split() == whole.split()
    table = shown.partition("Inpainters without")[0]
    assert max(map(len, table.splitlines())) <= columns


@pytest.mark.parametrize("name", ["lama", "edgeconnect.photos", "segformer_b0"])
def test_models_show_prints_all_facts(cli, home, name):
    model = get_model(name)
    ran = cli("models", "show", name)
    assert ran.code == 0
    for fact in (model.name, model.licence.note, model.source, model.choose):
        assert fact in ran.out
    assert model.training_photos in ran.out
    assert all(data in ran.out for data in model.metrics)
    assert all(file.filename in ran.out for file in model.checkpoints or model.files)
    digests = [
        (checksum_of(file) or "").partition(":")[2] for file in model.checkpoints or model.files
    ]
    assert all(digests)
    assert all(digest in ran.out for digest in digests)
    assert ("built in" in ran.out) == model.is_built_in


def test_models_list_as_json(cli, home):
    listed = json.loads(cli("models", "list", "--json").out)
    assert [model["name"] for model in listed] == list(MODELS)
    first = MODELS[listed[0]["name"]]
    assert listed[0]["metrics"] == {data: dict(values) for data, values in first.metrics.items()}
    assert (listed[0]["built_in"], listed[0]["installed"]) == (True, True)
    assert listed[0]["licence"]["commercial"] == "yes"


def test_models_list_of_a_kind_and_for_commercial_use(cli, small, home):
    assert "\nsmall.test " in cli("models", "list", "--kind", "inpainter").out
    for words in (["--kind", "segmenter"], ["--commercial-only"]):
        listed = cli("models", "list", *words).out
        assert "\nsmall.test " not in listed
        assert "deeplabv3plus_lite2.voc" in listed.split()
    named = json.loads(cli("models", "list", "--commercial-only", "--json").out)
    assert {model["licence"]["commercial"] for model in named} == {"yes"}
    ran = cli("models", "list", "--kind", "segmentor")
    assert ran.code == 2
    assert "kind 'segmentor'" in ran.err
    assert "'segmenter'" in ran.err


def test_models_pull_shows_the_licence_and_wants_it_accepted(cli, small, home):
    ran = cli("models", "pull", "small.test", "--from", small)
    assert (ran.code, ran.out) == (2, "")
    shown, note, _, error = ran.err.splitlines()
    assert shown == "small.test: licence CC-BY-NC-4.0, FORBIDS commercial use"
    assert note == "  for research only"
    assert error.endswith("if you comply, give --accept-licence")
    assert "run 'cleanplate models pull small.test'" in cli("models", "show", "small.test").out

    ran = cli("models", "pull", "small.test", "--from", small, "--accept-licence")
    assert (ran.code, ran.out) == (0, "small.test is installed, 3 bytes\n")
    assert "FORBIDS commercial use" in ran.err
    assert (
        cli("models", "pull", "small.test").out == "small.test is already installed and verified\n"
    )
    assert "  state     installed\n" in cli("models", "show", "small.test").out


def test_models_pull_over_own_weights_says_so(cli, small, home):
    store.install(get_model("small.test"), {"fill": small / "abc.onnx"}, origin="own")
    ran = cli("models", "pull", "small.test")
    assert "installed and verified with your own weights; for its publisher's, run" in ran.out


def test_models_pull_of_a_built_in_model(cli, home):
    ran = cli("models", "pull", "edgeconnect.photos")
    assert ran.code == 0
    assert ran.out == "edgeconnect.photos is built in; there is nothing to download\n"


def test_models_import_verify_and_remove(cli, small, home):
    file = small / "abc.onnx"
    ran = cli("models", "import", "small.test", file, "--accept-licence")
    assert (ran.code, ran.out) == (0, "small.test is installed, 3 bytes\n")
    path = Path(cli("models", "path", "small.test").out.strip())
    assert path.read_bytes() == b"abc"
    assert path.is_relative_to(home)
    assert f"ok  small.test  fill  {path}\n" in cli("models", "verify").out
    path.write_bytes(b"abd")
    ran = cli("models", "verify")
    assert ran.code == 1
    assert "small.test: " in ran.err
    assert "the file was changed" in ran.err
    assert "edgeconnect.photos" not in cli("models", "verify", "small.test").out
    assert cli("models", "remove", "small.test").out == "small.test was removed\n"
    assert cli("models", "remove", "small.test").out == "small.test was not installed\n"
    ran = cli("models", "verify", "small.test")
    assert ran.code == 1
    assert "small.test is not installed; run 'cleanplate models pull small.test'" in ran.err


def test_models_import_of_a_wrong_file(cli, small, home):
    (small / "abc.onnx").write_bytes(b"abcd")
    ran = cli("models", "import", "small.test", small / "abc.onnx", "--accept-licence")
    assert ran.code == 1
    assert "abc.onnx: 4 bytes, expected 3" in ran.err
    assert "--own-weights" in ran.err


def test_models_remove_of_a_built_in_model(cli, home):
    ran = cli("models", "remove", "edgeconnect.photos")
    assert ran.code == 2
    assert "edgeconnect.photos is built in and cannot be removed" in ran.err


@pytest.mark.usefixtures("small", "home")
def test_a_run_with_a_model_that_is_not_here_says_how_to_get_it(cli, tmp_path, astronaut):
    Image.fromarray(astronaut[:64, :64]).save(tmp_path / "a.png")
    words = ["run", tmp_path / "a.png", "-o", tmp_path / "out", "--remove", "person"]
    ran = cli(*words, "--inpainter", "small.test")
    assert ran.code == 1
    assert "small.test is not installed; run 'cleanplate models pull small.test'" in ran.err
    assert not (tmp_path / "out").exists()


def test_models_path_is_the_folder_for_all(cli, home):
    assert cli("models", "path").out == f"{home}\n"


def test_models_path_prints_the_files(cli):
    ran = cli("models", "path", "edgeconnect.photos")
    assert ran.code == 0
    paths = [Path(line) for line in ran.out.splitlines()]
    assert [path.name for path in paths] == [
        f"edgeconnect_{role}.onnx" for role in ("edges", "edges_cpu", "fill", "fill_cpu")
    ]
    assert all(path.is_file() for path in paths)


def test_models_path_of_an_unknown_name(cli):
    ran = cli("models", "path", "edgeconect.photos")
    assert ran.code == 2
    assert "unknown model 'edgeconect.photos'; known: " in ran.err
    assert "Did you mean 'edgeconnect.photos'" in ran.err


def test_models_verify_names_the_broken_file_and_checks_the_rest(cli, monkeypatch, home):
    assert cli("models", "verify").code == 0
    verify = store.verify_file

    def broken(model, role):
        if role == "edges":
            raise ChecksumError("edgeconnect_edges.onnx: SHA-256 differs; reinstall cleanplate")
        return verify(model, role)

    monkeypatch.setattr("cleanplate.hub.verify_file", broken)
    ran = cli("models", "verify")
    assert ran.code == 1
    assert re.fullmatch(r"cleanplate: error: edgeconnect\.photos: .*\n", ran.err)
    assert re.findall(r"^ok  (\S+)  (\S+)", ran.out, re.MULTILINE) == [
        ("deeplabv3plus_lite2.voc", "segment"),
        ("deeplabv3plus_lite2.voc", "segment_cpu"),
        ("effects.lite0", "effects"),
        ("instances.lite0", "divide"),
        ("objects.lite0", "recognize"),
        ("outlines.lite0", "outline"),
        ("edgeconnect.photos", "edges_cpu"),
        ("edgeconnect.photos", "fill"),
        ("edgeconnect.photos", "fill_cpu"),
    ]


def test_version(cli):
    ran = cli("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"cleanplate {__version__}\n", "")


def test_no_arguments_show_the_help(cli):
    ran = cli()
    assert ran.code == 0
    assert all(command in ran.out for command in ("run", "labels", "models"))
    assert ran.out == cli("--help").out


def test_an_unknown_command_is_one_line(cli):
    ran = cli("rnu")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"cleanplate: error: No such command 'rnu'.*--help'\.\n", ran.err)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device", "x"), 1, "x: No space left on device"),
        (KeyError("k"), 1, r"internal error \(KeyError: 'k'\); please report it with .*CLEAN"),
    ],
)
def test_no_exception_reaches_the_user(cli, monkeypatch, error, code, message):
    monkeypatch.setattr(cli_module, "app", lambda **_: (_ for _ in ()).throw(error))
    ran = cli("labels")
    assert ran.code == code
    assert re.match(f"cleanplate: error: {message}" if message else "$", ran.err)
    assert "Traceback" not in ran.err


def test_an_end_of_file_error_is_no_interrupt(cli, monkeypatch):
    def fail():
        raise EOFError("of a decoder")

    monkeypatch.setattr("cleanplate.cli.commands.doctor.diagnose", lambda *_, **__: fail())
    ran = cli("doctor")
    assert ran.code == 1
    assert "EOFError: of a decoder" in ran.err


def test_an_internal_error_shows_its_traceback_when_asked_to(cli, monkeypatch):
    monkeypatch.setattr(cli_module, "app", lambda **_: {}["k"])
    monkeypatch.setenv(cli_module.TRACEBACK_VARIABLE, "1")
    assert cli("labels").err.startswith("Traceback (most recent call last):\n")
