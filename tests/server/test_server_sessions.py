"""Photos through the API: as a client sends and gets them."""

import json
import shutil
import threading
import time
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from server_standins import PERSON, PLAIN, SquarePrompter, serving

FAR = np.s_[0:12, 0:30]  # nothing is here


def opened(content):
    return np.array(Image.open(BytesIO(content)))


@pytest.fixture
def session(running, photo):
    answer = running.client.post("/v1/sessions", files={"image": ("a b.png", photo)})
    assert answer.status_code == 201
    return answer.json()


def found(running, session, **wanted):
    answer = running.client.post(f"/v1/sessions/{session['id']}/find", json=wanted)
    assert answer.status_code == 200
    return answer.json()["objects"]


def filled(running, session, **edits):
    answer = running.client.post(f"/v1/sessions/{session['id']}/fill", json={"edits": edits})
    assert answer.status_code == 200, answer.text
    return answer.json()


def result(running, session, n=1, kind="photo"):
    return running.client.get(f"/v1/sessions/{session['id']}/result/{n}?kind={kind}")


def test_remove_gives_the_file_back_with_all_else_identical(running, photo, pixels):
    answer = running.client.post(
        "/v1/remove", files={"image": ("häuser.png", photo)}, data={"labels": "person"}
    )
    assert answer.headers["content-type"] == "image/png"
    assert "filename*=UTF-8''h%C3%A4user-clean.png" in answer.headers["content-disposition"]
    assert Image.open(BytesIO(answer.content)).text["Author"] == "Ann"
    after = opened(answer.content)
    assert not (after[PERSON] == pixels[PERSON]).all(axis=2).any()
    assert (after[FAR] == pixels[FAR]).all()


def test_without_the_object_the_very_same_bytes_come_back(running, photo):
    answer = running.client.post(
        "/v1/remove", files={"image": ("a.png", photo)}, data={"labels": "car"}
    )
    assert answer.content == photo
    answered = running.client.post(
        "/v1/remove?format=json", files={"image": ("a.png", photo)}, data={"labels": "car"}
    ).json()
    assert (answered["changed"], answered["objects"]) == (False, [])
    accepting = running.client.post(
        "/v1/remove",
        files={"image": ("a.png", photo)},
        data={"labels": "car"},
        headers={"Accept": "application/json"},
    )
    assert accepting.json() == answered | {"timings_s": accepting.json()["timings_s"]}


def test_fill_fills_exactly_the_mask(running, photo, pixels):
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[50:80, 5:25] = 255
    stream = BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    files = {"image": ("a.png", photo), "mask": ("m.png", stream.getvalue())}
    after = opened(running.client.post("/v1/fill", files=files).content)
    assert ((after != pixels).any(axis=2) <= (mask > 0)).all()
    assert (after != pixels).any()
    seeded = running.client.post("/v1/fill", files=files, data={"seed": "9"})
    assert (opened(seeded.content) != after).any()


def test_notes_of_encoding_come_with_the_file_and_with_the_session(running, pixels, monkeypatch):
    from cleanplate.io.formats.jpeg import JpegContainer

    monkeypatch.setattr(JpegContainer, "_is_unchanged", lambda *_: False)  # as if damaged
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    files = {"image": ("a.jpg", stream.getvalue())}
    answer = running.client.post("/v1/remove", files=files, data={"labels": "person"})
    (note,) = json.loads(answer.headers["X-Cleanplate-Notes"])
    assert "damaged" in note
    id_ = running.client.post("/v1/sessions", files=files).json()["id"]
    running.client.post(f"/v1/sessions/{id_}/find", json={"labels": ["person"]})
    assert running.client.post(f"/v1/sessions/{id_}/fill", json={}).json()["notes"] == [note]


def test_find_returns_outlines_and_changes_nothing(running, photo):
    answered = running.client.post("/v1/find", files={"image": ("a.png", photo)}).json()
    (person,) = answered["objects"]
    assert (person["label"], person["box"]) == ("person", [40, 30, 20, 40])
    assert person["selected"]
    (polygon,) = person["outline"]
    xs, ys = polygon[::2], polygon[1::2]
    assert (min(xs), max(xs), min(ys), max(ys)) == (40.5, 59.5, 30.5, 69.5)


def test_a_session_is_found_edited_filled_and_downloaded(running, session, pixels):
    assert (session["width"], session["height"], session["format"]) == (120, 90, "PNG")
    (person,) = found(running, session)
    answered = filled(running, session, objects={person["id"]: True})
    answer = result(running, session)
    assert 'filename="a b-clean.png"' in answer.headers["content-disposition"]
    after = opened(answer.content)
    mask = opened(result(running, session, kind="mask").content) > 0
    assert answered["changed_px"] == mask.sum() >= 800
    assert (after[~mask] == pixels[~mask]).all()
    assert not (after[PERSON] == pixels[PERSON]).all(axis=2).any()
    assert running.client.delete(f"/v1/sessions/{session['id']}").status_code == 204
    assert result(running, session).status_code == 404


def test_another_seed_is_another_try_and_the_same_fill_twice_is_refused(running, session):
    (person,) = found(running, session)
    edits = {"objects": {person["id"]: True}}

    def tried(**wanted):
        body = {"edits": edits, **wanted}
        return running.client.post(f"/v1/sessions/{session['id']}/fill", json=body)

    assert [tried(seed=seed).json()["seed"] for seed in (0, 7)] == [0, 7]
    assert result(running, session, 1).content != result(running, session, 2).content
    assert tried(inpainter="telea").status_code == 200
    again = tried(inpainter="telea", seed=1)  # it draws nothing at random
    assert again.status_code == 422
    assert "another model" in again.json()["detail"]
    assert tried(seed=-1).status_code == 422


def test_a_result_is_had_as_png_too_to_be_copied(running, pixels):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    answer = running.client.post("/v1/sessions", files={"image": ("a.jpg", stream.getvalue())})
    session = answer.json()
    (person,) = found(running, session)
    filled(running, session, objects={person["id"]: True})
    answer = result(running, session, kind="png")
    assert answer.headers["content-type"] == "image/png"
    copied = opened(answer.content)
    stored = opened(result(running, session).content)
    assert copied.shape == stored.shape
    assert np.abs(copied.astype(int) - stored).mean() < 3


def test_strokes_lasso_and_margin_say_exactly_what_is_filled(running, session, pixels):
    def mask(**edits):
        answer = running.client.post(f"/v1/sessions/{session['id']}/mask", json={"edits": edits})
        assert answer.status_code == 200, answer.text
        return opened(answer.content) > 0

    assert not mask().any()
    line = {"tool": "brush", "size": 10, "points": [[10, 10], [50, 10]]}
    drawn = mask(strokes=[line])
    assert drawn[10, 5:55].all()
    assert drawn[:, 30].sum() in (9, 10, 11)
    erased = mask(strokes=[line, {"tool": "eraser", "size": 20, "points": [[30, 10]]}])
    assert not erased[:, 30].any()
    assert (erased <= drawn).all()
    corner = {"tool": "lasso-erase", "points": [[25, 0], [35, 0], [35, 30], [25, 30]]}
    assert (mask(strokes=[line, corner])[:, 20:40] != drawn[:, 20:40]).any(axis=0).sum() in (10, 11)
    square = {"tool": "lasso", "points": [[60, 5], [80, 5], [80, 25], [60, 25]]}
    assert abs(int(mask(strokes=[square]).sum()) - 400) < 45
    (person,) = found(running, session, labels=["person"])
    alone = mask()
    assert alone[PERSON].all()
    assert mask(dilation_px=4).sum() > alone.sum() > mask(dilation_px=-4).sum()
    assert not mask(objects={person["id"]: False}).any()


def test_without_labels_only_people_in_the_background_are_suggested(running, session):
    (person,) = found(running, session)
    assert not person["selected"]
    assert found(running, session, labels=["person"])[0]["selected"]


def test_tiles_and_previews_show_the_photo_and_the_fill(running, session, pixels):
    found(running, session, labels=["person"])
    filled(running, session)
    for n in (0, 1):
        tile = running.client.get(f"/v1/sessions/{session['id']}/tiles/{n}/0/0/0")
        assert tile.headers["content-type"] == "image/jpeg"
        shown = opened(tile.content)
        assert shown.shape == pixels.shape
        assert abs(shown[FAR].mean() - pixels[FAR].mean()) < 3
        again = running.client.get(
            f"/v1/sessions/{session['id']}/tiles/{n}/0/0/0",
            headers={"If-None-Match": tile.headers["etag"]},
        )
        assert again.status_code == 304
    for path in ("tiles/0/9/0/0", "tiles/0/0/5/0", "tiles/0/-1/0/0", "tiles/7/0/0/0", "preview/7"):
        answer = running.client.get(f"/v1/sessions/{session['id']}/{path}")
        assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"data": {"labels": "persn"}}, 422, "person"),
        ({"data": {"labels": "person", "options": "{"}}, 422, "JSON"),
        ({"data": {"options": '{"min_score": 7, "classes": ["dog"]}'}}, 422, "score"),
        ({"files": {"image": ("a.png", b"abc")}}, 415, "text file"),
        ({"files": {}}, 422, "image"),
    ],
)
def test_errors_are_problems_with_a_cause(running, photo, more, status, words):
    wanted = {"files": {"image": ("a.png", photo)}, "data": {"labels": "person"}} | more
    answer = running.client.post("/v1/remove", **wanted)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    answered = answer.json()
    assert answered["status"] == status
    assert words in answered["detail"]


def test_an_empty_selection_and_unknown_objects_are_refused(running, session):
    def fill(**wanted):
        return running.client.post(f"/v1/sessions/{session['id']}/fill", json=wanted)

    assert "brush" in fill().json()["detail"]
    assert fill(edits={"objects": {"9": True}}).status_code == 422
    assert fill(edits={"nonsense": 1}).status_code == 422
    outline = running.client.post(
        f"/v1/sessions/{session['id']}/outline", json={"points": [[5, 5, 1]]}
    )
    assert outline.status_code == 409
    assert "models pull" in outline.json()["detail"]


def test_a_full_queue_is_429_and_a_client_that_goes_is_cancelled(running, photo):
    running.inpainter.hold()
    sent = {"files": {"image": ("a.png", photo)}, "data": {"labels": "person"}}
    answers = []

    def ask():
        headers = dict(running.client.headers)
        answers.append(
            httpx.post(
                f"http://127.0.0.1:{running.port}/v1/remove",
                headers=headers,
                timeout=30,
                **sent,
                **PLAIN,
            ).status_code
        )

    with pytest.raises(httpx.ReadTimeout):  # this client gives up while its photo is filled
        running.client.post("/v1/remove", timeout=1, **sent)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(answers) < 1:
        threads[0].join(0.05)
    assert answers[0] == 429
    running.inpainter.released.set()
    for thread in threads:
        thread.join(20)
    assert sorted(answers)[:2] == [200, 200]
    assert set(answers) <= {200, 429}


def test_a_fill_can_be_cancelled(running, session):
    found(running, session, labels=["person"])
    running.inpainter.hold()
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(
            running.client.post(f"/v1/sessions/{session['id']}/fill", json={}).status_code
        )
    )
    thread.start()
    assert running.inpainter.begun.acquire(timeout=20)
    assert running.client.delete(f"/v1/sessions/{session['id']}/fill").status_code == 204
    running.inpainter.released.set()
    thread.join(20)
    assert answers == [499]
    assert running.client.get(f"/v1/sessions/{session['id']}").json()["fills"] == []


def test_progress_is_streamed(running, session):
    stages = []

    def listen():
        with running.client.stream("GET", f"/v1/sessions/{session['id']}/events") as stream:
            heard.set()
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    answered = json.loads(line[6:])
                    stages.append((answered["stage"], answered.get("part")))
                    if stages.count(("done", None)) == 2:
                        return

    heard = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert heard.wait(20)
    found(running, session, labels=["person"])
    filled(running, session)
    thread.join(20)
    names = [stage for stage, _ in stages]
    assert names[:3] == ["queued", "find", "done"]
    assert ("fill", 1) in stages
    assert names[-2:] == ["write", "done"]


@pytest.mark.slow
def test_clients_that_go_free_their_places_at_once(running, photo):
    running.inpainter.hold()
    sent = {"files": {"image": ("a.png", photo)}, "data": {"labels": "person"}}
    headers = dict(running.client.headers)
    url = f"http://127.0.0.1:{running.port}/v1/remove"
    answers = []
    stays = threading.Thread(
        target=lambda: answers.append(httpx.post(url, headers=headers, timeout=30, **sent, **PLAIN))
    )
    stays.start()
    assert running.inpainter.begun.acquire(timeout=20)
    for _ in range(6):  # more than the queue has places
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, headers=headers, timeout=httpx.Timeout(5, read=0.05), **sent, **PLAIN)
        deadline = time.monotonic() + 10
        while len(running.app.queue) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(running.app.queue) == 1
    running.inpainter.released.set()
    stays.join(20)
    assert answers[0].status_code == 200


def test_what_was_pointed_at_is_outlined_and_filled(photo, pixels, fake_segmenter_class):
    with serving(fake_segmenter_class(), prompter=SquarePrompter()) as running:
        files = {"image": ("a.png", photo)}
        session = running.client.post("/v1/sessions", files=files).json()
        found(running, session)
        path = f"/v1/sessions/{session['id']}/outline"
        added = running.client.post(path, json={"points": [[20, 60, 1]]}).json()
        assert (added["label"], added["source"], added["box"]) == (
            "object",
            "outlined",
            [10, 50, 20, 20],
        )
        assert added["share"] == pytest.approx(400 / pixels[..., 0].size)
        assert not filled(running, session, objects={added["id"]: True})["remaining"]
        mask = opened(result(running, session, kind="mask").content) > 0
    assert mask[50:70, 10:30].all()
    assert not mask[PERSON].any()


@pytest.mark.parametrize("content", ['{"points": [[NaN, 1, 1]]}', '{"box": [1e300, 1, 1, 1]}'])
def test_clicks_that_are_no_places_are_refused(running, session, content):
    path = f"/v1/sessions/{session['id']}/outline"
    headers = {"content-type": "application/json"}
    assert running.client.post(path, content=content, headers=headers).status_code == 422


def test_options_that_are_nested_too_deep_are_refused(running, photo):
    answer = running.client.post(
        "/v1/remove", files={"image": ("a.png", photo)}, data={"options": "[" * 9000}
    )
    assert answer.status_code == 422


def test_what_is_not_on_the_disk_is_no_internal_error(running, session):
    answer = running.client.get(f"/v1/sessions/{session['id']}/preview/{'9' * 300}")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_preview_is_whole_for_two_who_ask_at_once(running, session, monkeypatch):
    opened_session = running.app.sessions.get(session["id"])
    (opened_session.folder / "0.jpg").unlink(missing_ok=True)
    write, contents = Path.write_bytes, []

    def slowly(path, content):
        write(path, content[:100])
        contents.append(opened_session.preview(0))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", slowly)
    contents.append(opened_session.preview(0))
    assert all(content.endswith(b"\xff\xd9") for content in contents)


def test_sessions_that_vanish_while_old_ones_are_removed_do_no_harm(running, session):
    store = running.app.sessions
    opened_session = store.get(session["id"])
    shutil.rmtree(opened_session.folder)
    opened_session.used -= 1e6
    store.remove_idle()
    assert session["id"] not in store._sessions
