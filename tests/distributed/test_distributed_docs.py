"""The Python examples of docs/cluster.md work as they stand."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
FENCE = re.compile(r"^```python( spark)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's and Spark's own
    pytest.mark.xdist_group("ray"),  # they share a cluster
]


def examples(*, spark: bool):
    text = PAGE.read_text(encoding="utf-8")
    found = [match for match in FENCE.finditer(text) if bool(match[1]) == spark]
    assert found
    for match in found:
        before = text.count("\n", 0, match.start(2))
        # Empty lines in front, so that a traceback shows the page's own line.
        yield compile("\n" * before + match[2], str(PAGE), "exec", dont_inherit=True)


@pytest.fixture
def make_photos(astronaut, monkeypatch, nodes_environment):
    def make(folder: Path) -> None:
        """Make the photos that the page speaks of in a folder, and work there."""
        monkeypatch.chdir(folder)
        Path("photos").mkdir()
        figure = Image.fromarray(astronaut[:340, 60:350]).resize((145, 170))
        figure.save("photos/lake.jpg", quality=90)
        Image.new("RGB", (120, 90), (150, 140, 120)).save("photos/wall.png")

    return make


def test_examples_on_ray_run(two_nodes, make_photos, capsys):
    make_photos(two_nodes.folder)
    for code in examples(spark=False):
        exec(code, {"__name__": "example"})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert sorted((Path(line[0]).name, line[1]) for line in lines) == [
        ("lake.jpg", "removed"),
        ("lake.jpg", "removed"),
        ("wall.png", "untouched"),
        ("wall.png", "untouched"),
    ]
    assert Path("clean/wall.png").read_bytes() == Path("photos/wall.png").read_bytes()


def test_the_recipe_for_spark_runs(make_photos, tmp_path, monkeypatch):
    sql = pytest.importorskip("pyspark.sql")
    make_photos(tmp_path)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    options = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    spark = sql.SparkSession.builder.master("local[1]").config(map=options).getOrCreate()
    namespace = {"__name__": "example", "spark": spark}
    try:
        for code in examples(spark=True):
            exec(code, namespace)
        rows = {Path(row.path).name: row for row in namespace["done"].collect()}
    finally:
        spark.stop()
    assert set(rows) == {"lake.jpg", "wall.png"}
    assert bytes(rows["wall.png"].result) == Path("photos/wall.png").read_bytes()
    assert '"status": "removed"' in rows["lake.jpg"].report
    assert bytes(rows["lake.jpg"].result)[:2] == b"\xff\xd8"
