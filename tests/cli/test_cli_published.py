"""Options of `--preset published` on the command line."""

import pytest

RUN = ("run", "in", "-o", "out", "--remove", "person")


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*RUN, "--as-published-size"), "--as-published-size"),
        ((*RUN, "--canny-sigma", "3", "--preset", "fast"), "--canny-sigma"),
        ((*RUN, "--preset", "published", "--dilate", "3"), "--dilate"),
        ((*RUN, "--preset", "published", "--dry-run"), "--dry-run"),
        ((*RUN, "--preset", "published", "--edges", "nowhere"), "nowhere"),
        ((*RUN, "--preset", "published", "--segmenter", "rfdetr"), "deeplabv3_resnet101"),
        ((*RUN, "--preset", "published", "--inpainter", "telea"), "edgeconnect.places2"),
        (("plan", "in", "-o", "m", "--remove", "person", "--preset", "published"), "run"),
    ],
)
def test_what_does_not_go_together_is_refused(cli, arguments, message):
    ran = cli(*arguments)
    assert ran.code == 2
    assert message in ran.err
