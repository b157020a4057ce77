"""`cleanplate ray` through its door: what it refuses before a cluster is needed."""

import sys

import pytest

from cleanplate.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in", "out"], "nothing to remove"),
        (["in", "out", "--remove", "persn"], "Did you mean 'person'?"),
        (["in", "in/../in", "--remove", "person"], "both input and output"),
        (["s3://b/a/in", "s3://b/a", "--remove", "person"], "is inside the output s3://b/a"),
        (["s3://i:p@b/in", "out", "--remove", "person"], "a key in a URL"),
        (["in", "out", "--remove", "person", "--untouched", "link"], "known: copy, skip"),
        (["in", "out", "--remove", "person", "--gpus-per-worker", "1.5"], "a fraction of 1"),
        (["in", "out", "--remove", "person", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_wrong_use_is_reported_in_a_line_and_nothing_is_done(
    cli, words, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    done = cli("ray", *words)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("cleanplate: error: ")
    assert message in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_without_the_extra_the_way_to_get_it_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert main(["ray", "in", "out", "--remove", "person"]) == 1
    records = capsys.readouterr().err
    assert "Ray is not installed" in records
    assert "run 'pip install \"cleanplate[ray]\"'" in records
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
