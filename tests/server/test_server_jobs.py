"""Folders through the API: processed, resumed, reviewed and exported."""

import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from server_standins import PERSON, serving

from cleanplate.remover import Remover
from cleanplate.server.jobs import JobStore
from cleanplate.server.work import WorkQueue

NAMES = ("a.png", "b.png", "sub/c.png", "empty.png", "broken.png")


@pytest.fixture
def root(tmp_path, photo, pixels):
    for name in NAMES:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
    empty = pixels.copy()
    empty[PERSON] = pixels[:40, :20]
    Image.fromarray(empty).save(tmp_path / "in/empty.png")
    (tmp_path / "in/broken.png").write_bytes(photo[:200])
    return tmp_path


@pytest.fixture
def server(fake_segmenter_class, root):
    with serving(fake_segmenter_class(), root=root) as running:
        yield running


def start(server, **wanted):
    answer = server.client.post("/v1/jobs", json={"folder": "in", "labels": ["person"], **wanted})
    assert answer.status_code == 201, answer.text
    return answer.json()


def finished(server, job):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answered = server.client.get(f"/v1/jobs/{job['id']}").json()
        if answered["state"] not in ("queued", "running"):
            return answered
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def rows(server, job, **wanted):
    answer = server.client.get(f"/v1/jobs/{job['id']}/photos", params=wanted)
    assert answer.status_code == 200, answer.text
    return {row["name"]: row for row in answer.json()["rows"]}


def test_a_folder_is_processed_as_a_run_would(server, root):
    job = finished(server, start(server))
    assert job["state"] == "done"
    assert (job["folder"], job["output"]) == ("in", "in-clean")
    counts = {"total": 5, "done": 5, "cleaned": 3, "copied": 1, "failed": 1}
    assert job["counts"].items() >= counts.items()
    found = rows(server, job)
    assert {name: row["status"] for name, row in found.items()} == {
        "a.png": "cleaned",
        "b.png": "cleaned",
        "sub/c.png": "cleaned",
        "empty.png": "copied",
        "broken.png": "failed",
    }
    assert "broken.png" in found["broken.png"]["error"]
    assert found["a.png"]["labels"] == {"person": 1}
    same = (root / "in/empty.png").read_bytes() == (root / "in-clean/empty.png").read_bytes()
    assert same
    before, after = (np.array(Image.open(root / place / "a.png")) for place in ("in", "in-clean"))
    assert not (before[PERSON] == after[PERSON]).all(axis=2).any()
    assert (before[:12] == after[:12]).all()


def test_filters_and_pages(server):
    job = start(server)
    finished(server, job)
    assert rows(server, job, state="failed").keys() == {"broken.png"}
    assert len(rows(server, job, label="person")) == 3
    assert len(rows(server, job, label="car")) == 0
    assert len(rows(server, job, min_share=0.01)) == 3
    assert len(rows(server, job, limit=2)) == 2
    assert set(rows(server, job, limit=2)) | set(rows(server, job, offset=2)) == set(NAMES)


def test_pictures_have_tags(server):
    job = start(server)
    finished(server, job)
    n = rows(server, job)["a.png"]["n"]
    for kind in ("thumbnail", "preview"):
        for side in ("before", "after"):
            url = f"/v1/jobs/{job['id']}/photos/{n}/{kind}?side={side}"
            answer = server.client.get(url)
            assert Image.open(BytesIO(answer.content)).size == (120, 90)
            again = server.client.get(url, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304
    broken = rows(server, job)["broken.png"]["n"]
    url = f"/v1/jobs/{job['id']}/photos/{broken}/thumbnail?side=after"
    assert server.client.get(url).status_code == 404


def test_a_review_changes_nothing_until_it_is_exported(server, root):
    job = start(server)
    finished(server, job)
    found = rows(server, job)
    done = (root / "in-clean/a.png").read_bytes()

    def decide(name, decision):
        url = f"/v1/jobs/{job['id']}/photos/{found[name]['n']}/{decision}"
        return server.client.post(url).json()["review"]

    assert decide("a.png", "reject") == "rejected"
    assert decide("a.png", "reset") == "none"
    assert decide("a.png", "reject") == "rejected"
    assert decide("b.png", "accept") == "accepted"
    assert (root / "in-clean/a.png").read_bytes() == done
    assert rows(server, job, review="rejected").keys() == {"a.png"}
    answered = server.client.post(f"/v1/jobs/{job['id']}/export", json={}).json()
    assert answered == {"rejected": 1, "edited": 0, "kept": 4}
    assert (root / "in-clean/a.png").read_bytes() == (root / "in/a.png").read_bytes()


def edited(server, job, name):
    """Fill a spot of a photo by hand, and accept it; return the row."""
    n = rows(server, job)[name]["n"]
    answer = server.client.post("/v1/sessions/from-job", json={"job": job["id"], "photo": n})
    session = answer.json()
    assert session["accepts"]
    stroke = {"tool": "brush", "size": 20, "points": [[20, 20]]}
    url = f"/v1/sessions/{session['id']}"
    server.client.post(f"{url}/fill", json={"edits": {"strokes": [stroke]}})
    return server.client.post(f"{url}/accept", json={"n": 1}).json()


@pytest.mark.slow
def test_a_photo_is_edited_by_hand_and_replaced_at_the_export(server, root, fake_segmenter_class):
    job = start(server)
    finished(server, job)
    target = root / "in-clean/empty.png"
    before = target.read_bytes()
    row = edited(server, job, "empty.png")
    assert (row["review"], row["edited"]) == ("accepted", True)
    assert target.read_bytes() == before
    with serving(fake_segmenter_class(), root=root) as second:  # edits survive the server
        job = start(second)
        finished(second, job)
        n = row["n"]
        assert rows(second, job)["empty.png"]["edited"]
        shown = second.client.get(f"/v1/jobs/{job['id']}/photos/{n}/preview")
        assert shown.headers["etag"] == rows(second, job)["empty.png"]["etag"] != before
        answered = second.client.post(f"/v1/jobs/{job['id']}/export", json={}).json()
        assert answered == {"rejected": 0, "edited": 1, "kept": 5}
        assert second.client.get(f"/v1/jobs/{job['id']}").json()["counts"]["edited"] == 0
    old, new = (np.array(Image.open(BytesIO(it))) for it in (before, target.read_bytes()))
    assert (old != new).any()
    assert (old[40:] == new[40:]).all()


def test_edits_and_decisions_can_be_undone_until_the_export(server, root):
    job = start(server)
    finished(server, job)
    before = {path: path.read_bytes() for path in root.glob("in-clean/*.png")}
    n = edited(server, job, "a.png")["n"]
    row = server.client.post(f"/v1/jobs/{job['id']}/photos/{n}/restore").json()
    assert (row["review"], row["edited"]) == ("none", False)
    edited(server, job, "b.png")
    server.client.post(f"/v1/jobs/{job['id']}/photos/{n}/reject")
    server.client.post(f"/v1/jobs/{job['id']}/photos/{n}/reset")
    assert {path: path.read_bytes() for path in before} == before
    answered = server.client.post(f"/v1/jobs/{job['id']}/export", json={}).json()
    assert answered == {"rejected": 0, "edited": 1, "kept": 5}
    changed = {path.name for path in before if path.read_bytes() != before[path]}
    assert changed == {"b.png"}


def former(server):
    """Return the runs of former servers, which are found while this one answers already."""
    deadline = time.monotonic() + 20
    while not (found := server.client.get("/v1/jobs").json()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.mark.slow
def test_another_server_goes_on_where_the_first_ended(fake_segmenter_class, root):
    with serving(fake_segmenter_class(), root=root) as first:
        job = start(first)
        finished(first, job)
        n = rows(first, job)["a.png"]["n"]
        first.client.post(f"/v1/jobs/{job['id']}/photos/{n}/reject")
    stamps = {path: path.stat().st_mtime_ns for path in root.glob("in-clean/**/*.png")}
    with serving(fake_segmenter_class(), root=root) as second:
        [found] = former(second)
        answered = {name: found[name] for name in ("folder", "output", "labels", "started")}
        assert answered == {name: job[name] for name in answered}
        assert found["state"] == "cancelled"  # the broken photo is still to be done
        assert found["counts"].items() >= {"total": 5, "done": 4, "cleaned": 3}.items()
        assert rows(second, found)["a.png"]["review"] == "rejected"
        assert rows(second, found)["a.png"]["labels"] == {"person": 1}
        second.client.post(f"/v1/jobs/{found['id']}/resume").raise_for_status()
        assert finished(second, found)["counts"]["failed"] == 1
    shutil.copy(root / "in/a.png", root / "in/new.png")
    with serving(fake_segmenter_class(), root=root) as third:
        former(third)
        job = finished(third, start(third))
        assert job["counts"].items() >= {"total": 6, "done": 6, "cleaned": 4}.items()
        assert rows(third, job)["a.png"]["review"] == "rejected"
        assert rows(third, job)["a.png"]["labels"] == {"person": 1}
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert (root / "in-clean/new.png").exists()
    with serving(fake_segmenter_class(), root=root) as fourth:
        [found] = former(fourth)  # a folder that was started again is listed once
        fourth.client.delete(f"/v1/jobs/{found['id']}").raise_for_status()
    assert json.loads((root / ".cleanplate/runs.json").read_bytes()) == []


@pytest.mark.parametrize(
    "content",
    [b"{", b"[1]", b'[{"folder": "../..", "output": "x", "options": {}, "started": 1}]'],
)
def test_a_list_of_runs_that_cannot_be_used_is_no_list(root, content):
    (root / ".cleanplate").mkdir()
    (root / ".cleanplate/runs.json").write_bytes(content)
    assert JobStore(Remover(), WorkQueue(1), root).read_former() == []


def test_a_job_is_cancelled_and_resumed(server):
    server.inpainter.hold()
    job = start(server)
    assert server.inpainter.begun.acquire(timeout=20)
    server.client.post(f"/v1/jobs/{job['id']}/cancel")
    server.inpainter.released.set()
    stopped = finished(server, job)
    assert stopped["state"] == "cancelled"
    assert stopped["counts"]["done"] < 5
    server.client.post(f"/v1/jobs/{job['id']}/resume")
    assert finished(server, job)["counts"]["done"] == 5


def test_paths_out_of_the_root_are_refused(server, root):
    (root / "link").symlink_to("/etc")
    for path in ("..", "../..", "/etc", "in/../..", "link", "a\0b"):
        listed = server.client.get("/v1/folders", params={"path": path})
        given = server.client.post("/v1/jobs", json={"folder": path})
        out = server.client.post("/v1/jobs", json={"folder": "in", "output": path})
        assert (listed.status_code, given.status_code, out.status_code) == (403, 403, 403), path


def test_links_to_photos_elsewhere_are_not_followed(server, root, photo, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    outside.write_bytes(photo)
    (root / "in/link.png").symlink_to(outside)
    job = finished(server, start(server))
    assert "link.png" not in rows(server, job)
    assert not (root / "in-clean/link.png").exists()


def test_folders_are_listed(server):
    answered = server.client.get("/v1/folders").json()
    assert answered == {"path": "", "folders": [{"name": "in", "photos": 4}], "photos": 0}


def test_without_a_root_there_are_no_jobs(running):
    answer = running.client.post("/v1/jobs", json={"folder": "."})
    assert answer.status_code == 403
    assert "--root" in answer.json()["detail"]


def test_wrong_use_is_a_problem(server):
    def post(**wanted):
        return server.client.post("/v1/jobs", json=wanted)

    assert post(folder="nothing").status_code == 422
    assert "person" in post(folder="in", labels=["persn"]).json()["detail"]
    assert post(folder="in", output="in", labels=["person"]).status_code == 422
    assert post(folder="in", more=1).status_code == 422
    assert server.client.get("/v1/jobs/j99").status_code == 404
    job = start(server)
    finished(server, job)
    assert server.client.post(f"/v1/jobs/{job['id']}/photos/99/accept").status_code == 404
    assert server.client.post(f"/v1/jobs/{job['id']}/photos/0/burn").status_code == 422


def test_progress_and_rows_are_streamed(server):
    server.inpainter.hold()
    job = start(server)
    with server.client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        assert [next(lines), next(lines)] == ["", "event: progress"]
        server.inpainter.released.set()
        names, event = [], ""
        for line in lines:
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                answered = json.loads(line[6:])
                names += [answered["name"]] if event == "photo" else []
                if event == "progress" and answered["state"] == "done":
                    break
    assert set(names) == set(NAMES)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_not_utf_8_are_listed(server, root, photo):
    (root / os.fsdecode(b"d\xe9")).mkdir()
    (root / "in" / os.fsdecode(b"caf\xe9.png")).write_bytes(photo)
    assert "d\udce9" in {it["name"] for it in server.client.get("/v1/folders").json()["folders"]}
    job = start(server)
    finished(server, job)
    found = rows(server, job)
    assert found["caf\udce9.png"]["status"] == "cleaned"
    wanted = {"job": job["id"], "photo": found["caf\udce9.png"]["n"]}
    assert server.client.post("/v1/sessions/from-job", json=wanted).status_code == 201


def test_a_photo_that_is_gone_is_named(server, root):
    job = start(server)
    finished(server, job)
    n = rows(server, job)["b.png"]["n"]
    (root / "in/b.png").unlink()
    wanted = {"job": job["id"], "photo": n}
    assert server.client.post("/v1/sessions/from-job", json=wanted).status_code == 404
    for other in (n, rows(server, job)["a.png"]["n"]):
        server.client.post(f"/v1/jobs/{job['id']}/photos/{other}/reject")
    before = (root / "in-clean/a.png").read_bytes()
    answer = server.client.post(f"/v1/jobs/{job['id']}/export", json={})
    assert (answer.status_code, "b.png" in answer.json()["detail"]) == (422, True)
    assert (root / "in-clean/a.png").read_bytes() == before


def test_decisions_at_once_are_all_kept(server, root):
    job = start(server)
    finished(server, job)
    path = root / "in-clean/.cleanplate/review.json"
    for _ in range(10):
        path.unlink(missing_ok=True)
        in_parallel(
            lambda n: server.client.post(f"/v1/jobs/{job['id']}/photos/{n}/accept"), range(4)
        )
        assert len(json.loads(path.read_text())) == 4
        for n in range(4):
            server.client.post(f"/v1/jobs/{job['id']}/photos/{n}/reset")


def test_a_folder_that_is_started_twice_at_once_is_one_job(server, monkeypatch):
    store = server.app.jobs
    create = store._create

    def slowly(*arguments):
        job = create(*arguments)
        time.sleep(0.1)
        return job

    monkeypatch.setattr(store, "_create", slowly)
    answers = in_parallel(lambda _: start(server), range(4))
    assert len({job["id"] for job in answers}) == 1
    assert finished(server, answers[0])["state"] == "done"


def test_a_job_waits_for_a_deleted_one_of_its_output(server):
    server.inpainter.hold()
    job = start(server)
    server.inpainter.begun.acquire(timeout=20)
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    second = start(server)
    server.inpainter.released.set()
    assert finished(server, second)["state"] == "done"


def test_a_damaged_file_of_decisions_holds_nothing_up(server, root):
    path = root / "in-clean/.cleanplate/review.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    assert finished(server, start(server))["state"] == "done"


def in_parallel(call, arguments):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, arguments))
