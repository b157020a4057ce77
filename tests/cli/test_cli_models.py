"""`cleanplate labels`, `cleanplate models`, and what concerns all commands."""

import json
import re
from pathlib import Path

import pytest

from cleanplate import __version__
from cleanplate import cli as cli_module
from cleanplate.errors import ChecksumError
from cleanplate.labels import ALIASES, VOC_LABELS
from cleanplate.models import MODELS, store


def test_labels_lists_ids_names_and_other_words(cli):
    ran = cli("labels")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [
        [str(number), label] for number, label in enumerate(VOC_LABELS, start=1)
    ]
    assert {word.rstrip(",") for row in rows for word in row[2:]} == set(ALIASES)


def test_labels_of_a_segmenter(cli):
    assert cli("labels", "--segmenter", "deeplabv3plus_lite2.voc").out == cli("labels").out
    ran = cli("labels", "--segmenter", "edgeconnect.photos")
    assert ran.code == 2
    assert "unknown segmenter 'edgeconnect.photos'; known: deeplabv3plus_lite2.voc" in ran.err


def test_models_list_tells_kind_size_licence_and_quality(cli):
    ran = cli("models", "list")
    assert ran.code == 0
    for model in MODELS.values():
        assert f"{model.name}\n  kind      {model.kind}\n" in ran.out
        assert f"{model.size_bytes:,} bytes in {len(model.files)} file" in ran.out
        assert f"  licence   {model.licence}\n" in ran.out
        assert all(data in ran.out for data in model.metrics)


def test_models_list_as_json(cli):
    listed = json.loads(cli("models", "list", "--json").out)
    assert [model["name"] for model in listed] == list(MODELS)
    assert listed[0]["metrics"] == {
        k: dict(v) for k, v in MODELS[listed[0]["name"]].metrics.items()
    }


def test_models_path_prints_the_files(cli):
    ran = cli("models", "path", "edgeconnect.photos")
    assert ran.code == 0
    paths = [Path(line) for line in ran.out.splitlines()]
    assert [path.name for path in paths] == ["edgeconnect_edges.onnx", "edgeconnect_fill.onnx"]
    assert all(path.is_file() for path in paths)


def test_models_path_of_an_unknown_name(cli):
    ran = cli("models", "path", "edgeconect.photos")
    assert ran.code == 2
    assert "unknown model 'edgeconect.photos'; known: " in ran.err
    assert "Did you mean 'edgeconnect.photos'" in ran.err


def test_models_verify_names_the_broken_file_and_checks_the_rest(cli, monkeypatch):
    assert cli("models", "verify").code == 0
    verify = store.verify_file

    def broken(file):
        if file.role == "edges":
            raise ChecksumError(f"{file.filename}: SHA-256 differs; reinstall cleanplate")
        return verify(file)

    monkeypatch.setattr(store, "verify_file", broken)
    ran = cli("models", "verify")
    assert ran.code == 1
    assert ran.err == (
        "cleanplate: error: edgeconnect.photos: edgeconnect_edges.onnx: SHA-256 differs; "
        "reinstall cleanplate\n"
    )
    assert re.findall(r"^ok  (\S+)  (\S+)", ran.out, re.MULTILINE) == [
        ("deeplabv3plus_lite2.voc", "segment"),
        ("edgeconnect.photos", "fill"),
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
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device", "x"), 1, "x: No space left on device"),
        (KeyError("k"), 1, r"internal error \(KeyError: 'k'\); please report it with what CLEAN"),
    ],
)
def test_no_exception_reaches_the_user(cli, monkeypatch, error, code, told):
    monkeypatch.setattr(cli_module, "app", lambda **_: (_ for _ in ()).throw(error))
    ran = cli("labels")
    assert ran.code == code
    assert re.match(f"cleanplate: error: {told}" if told else "$", ran.err)
    assert "Traceback" not in ran.err


def test_an_internal_error_shows_its_traceback_when_asked_to(cli, monkeypatch):
    monkeypatch.setattr(cli_module, "app", lambda **_: {}["k"])
    monkeypatch.setenv(cli_module.TRACEBACK_VARIABLE, "1")
    assert cli("labels").err.startswith("Traceback (most recent call last):\n")
