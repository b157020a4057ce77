"""Runs on a cluster of two nodes, with an S3 server; nothing is simulated but the network."""

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter

import pytest
from cluster_standins import ColourSegmenter

pytest.importorskip("ray.data")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own warnings
    pytest.mark.xdist_group("ray"),  # they share a cluster
]

import ray  # noqa: E402

from cleanplate.batch import Job  # noqa: E402
from cleanplate.distributed.config import Workers  # noqa: E402
from cleanplate.distributed.driver import run_cluster  # noqa: E402
from cleanplate.distributed.location import Location  # noqa: E402
from cleanplate.distributed.ray_datasets import remove_dataset  # noqa: E402
from cleanplate.options import RemovalOptions  # noqa: E402
from cleanplate.remover import Remover  # noqa: E402

JOB = Job(options=RemovalOptions(classes=("person",), min_score=0.5, verify=False))


def remover(pause_s: float = 0.0) -> Remover:
    return Remover(segmenter=ColourSegmenter(pause_s), inpainter="telea")


def put(store, contents: dict[str, bytes]) -> None:
    for path, content in contents.items():
        with store.open_output_stream(path) as stream:
            stream.write(content)


def names_in(place: Location) -> list[str]:
    return [it.relative for it in place.list() if not it.relative.startswith(".cleanplate/")]


def read_all(place: Location) -> dict[str, bytes]:
    return {name: place.read(name) for name in names_in(place)}


def rows_of(place: Location) -> list[dict]:
    import io

    from pyarrow import parquet

    return [
        row
        for it in place.list(".cleanplate/report")
        for row in parquet.read_table(io.BytesIO(place.read(it.relative))).to_pylist()
    ]


def test_a_dataset_gets_results_and_reports_and_survives_a_deadly_photo(cluster, make_photo):
    contents = [make_photo("person"), make_photo(None), make_photo("killer"), b"no photo"]
    table = [{"id": number, "bytes": content} for number, content in enumerate(contents)]
    done = remove_dataset(
        ray.data.from_items(table),
        ["person"],
        RemovalOptions(verify=False),
        remover=remover(),
        workers=Workers(count=1),
    )
    rows = sorted(done.take_all(), key=lambda row: row["id"])
    reports = [row["report"] for row in rows]
    assert [it["status"] for it in reports] == ["removed", "untouched", "failed", "failed"]
    assert [it["error"] is None for it in reports] == [True, True, False, False]
    assert reports[0]["found"][0]["label"] == "person"
    assert reports[0]["provider"] == {"segmenter": "NumPy", "inpainter": "OpenCV"}
    assert rows[0]["result"] not in (None, contents[0])
    assert rows[1]["result"] == contents[1]
    assert rows[2]["result"] is rows[3]["result"] is None
    assert json.loads(reports[0]["settings"])["classes"] == ["person"]


def test_models_travel_once_to_every_node_that_lacks_them(two_nodes, make_photo, tmp_path):
    from cleanplate.hub import store
    from cleanplate.hub.registry import get_model

    own, built_in = get_model("edgeconnect.own"), get_model("edgeconnect.photos")
    files = {file.role: store.find_file(built_in, file.role) for file in built_in.files}
    store.install(own, {file.role: files[file.role] for file in own.files}, origin="own")
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.png").write_bytes(make_photo("person", seed=number))
    before = {path for home in two_nodes.homes for path in home.rglob("*.onnx")}
    records = list(
        run_cluster(
            str(tmp_path / "in"),
            str(tmp_path / "out"),
            Remover(segmenter=ColourSegmenter(0.1), inpainter="edgeconnect.own"),
            JOB,
            workers=Workers(count=2),
            group_size=1,
        )
    )
    assert Counter(line["status"] for line in records) == {"removed": 4}
    came = {path for home in two_nodes.homes for path in home.rglob("*.onnx")} - before
    for home in two_nodes.homes:
        mine = [path for path in came if path.is_relative_to(home / "cluster")]
        assert len(mine) == len(own.files)
    assert len(came) == 2 * len(own.files)


def test_a_run_that_is_killed_goes_on_where_it_was(cluster, make_photo, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(make_photo(None, seed=number))
    words = ["ray", "in", "out", "--remove", "person", "--inpainter", "telea", "--workers", "1"]
    command = [sys.executable, "-m", "cleanplate", *words, "--photos-at-a-time", "6"]
    command += ["--address", cluster.address]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300  # of a busy machine
    while time.monotonic() < deadline and len(names_in(Location(str(tmp_path / "out")))) < 7:
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(3)  # until Ray has ended the workers of that run
    output = Location(str(tmp_path / "out"))
    made, known = read_all(output), {row["relative"] for row in rows_of(output)}
    assert 7 <= len(made) < 12
    assert known < set(made)

    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert again.returncode == 0, again.stderr
    counts = f"12 photos: {12 - len(known)} unchanged, {len(known)} skipped (done before);"
    assert counts in again.stdout
    assert read_all(output) == {path.name: path.read_bytes() for path in folder.iterdir()}
    done = Counter(row["relative"] for row in rows_of(output) if row["skipped"] is None)
    assert set(done.values()) == {1}
    assert not list(output.list(".cleanplate/started"))


def test_a_killed_node_and_photos_that_kill_process_and_actor_cost_nothing_else(
    two_nodes, s3, bucket, make_photo
):
    photos = {
        f"photos/in/sub{number % 3}/{number:03}.png": make_photo(
            "person" if number % 2 else None, seed=number
        )
        for number in range(20)
    }
    deadly = {"photos/in/sub1/deadly.png": "killer", "photos/in/sub2/deadlier.png": "assassin"}
    photos |= {path: make_photo(kind) for path, kind in deadly.items()}
    put(bucket, photos)
    source, output = Location(f"s3://photos/in{s3}"), Location(f"s3://photos/out{s3}")
    records = []
    for line in run_cluster(
        source, output, remover(0.1), JOB, workers=Workers(count=2), group_size=3
    ):
        records.append(line)
        if len(records) == 4:
            two_nodes.kill_second()
    assert two_nodes.count_nodes() == 1

    assert Counter(line["status"] for line in records) == {
        "removed": 10,
        "untouched": 10,
        "failed": 2,
    }
    errors = {line["photo"]: line["error"] for line in records if line["status"] == "failed"}
    assert set(errors) == {f"s3://{path}" for path in deadly}
    assert (
        "the process that worked on it died with code 3" in errors["s3://photos/in/sub1/deadly.png"]
    )
    assert "6 in all" in errors["s3://photos/in/sub2/deadlier.png"]
    results = read_all(output)
    assert set(results) == {path.removeprefix("photos/in/") for path in photos.keys() - deadly}
    for number in range(0, 20, 2):
        name = f"sub{number % 3}/{number:03}.png"
        assert results[name] == photos[f"photos/in/{name}"]
    rows = rows_of(output)
    assert Counter(row["relative"] for row in rows) == Counter(
        path.removeprefix("photos/in/") for path in photos
    )
    for row in rows:
        if row["status"] != "failed":
            digest = hashlib.sha256(results[row["relative"]]).hexdigest()
            assert row["output_sha256"] == digest
    assert not list(output.list(".cleanplate/started"))
