"""The report as a page."""

import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cleanplate.batch.records.html_page import PageWriter, make_thumbnails
from cleanplate.batch.records.results import FoundObject, PhotoResult, describe_result
from cleanplate.errors import PhotoError
from cleanplate.types import Removal

MODELS = {"models": {"segmenter": "x", "inpainter": "y"}, "provider": {}}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;.jpg"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def outcome_of(name, *, status="removed", label="person", share=0.1, seconds=1.0, **others):
    image = np.full((30, 40, 3), 90, np.uint8)
    mask = np.zeros((30, 40), np.bool_)
    mask[:10, :10] = status == "removed"
    found = (FoundObject(1, label, 0.9, (0, 0, 9, 9), 81, status == "removed", ""),)
    return PhotoResult(
        status=status,
        source=Path("in") / name,
        target=Path("out") / name,
        size_hw=(30, 40),
        found=found if status != "failed" else (),
        mask_area_px=round(share * 1200),
        timings_s={"total": seconds},
        thumbnails=make_thumbnails(image, Removal(image, mask)) if status != "failed" else None,
        **others,
    )


def write(outcomes, path="report.html", **options):
    with PageWriter(Path(path), {"labels": "person"}, **options) as page:
        for outcome in outcomes:
            page.write(outcome, describe_result(outcome, MODELS))
    return Path(path).read_text(encoding="utf-8")


def rows_of(text):
    return [json.loads(row) for row in re.findall(r"^<script>row\((.*)\)</script>$", text, re.M)]


class Scripts(HTMLParser):
    """Collects tags and texts as a browser would take them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text)


def test_holds_a_row_for_every_photo():
    text = write([outcome_of("a b#.jpg"), outcome_of("b.jpg", status="failed", error="cut off")])
    first, second = rows_of(text)
    assert (first["photo"], first["status"]) == ("in/a b#.jpg", "removed")
    assert first["links"] == ["in/a%20b%23.jpg", "out/a%20b%23.jpg"]
    assert [url.split(",")[0] for url in first["thumbnails"]] == ["data:image/webp;base64"] * 3
    assert first["time_s"] == 1.0
    assert (second["error"], "thumbnails" in second) == ("cut off", False)


def test_links_are_relative_to_the_page():
    (row,) = rows_of(write([outcome_of("a.jpg")], path="logs/2024/report.html"))
    assert row["links"] == ["../../in/a.jpg", "../../out/a.jpg"]


def test_reaches_for_nothing_outside_itself():
    scripts = Scripts(write([outcome_of("a.jpg")]))
    assert not [tag for tag in scripts.tags if tag[0] in ("link", "iframe", "object")]
    assert not [attributes for _, attributes in scripts.tags if "src" in attributes]
    assert "default-src 'none'" in str(scripts.tags)
    assert "http://" not in "".join(scripts.texts)


@pytest.mark.parametrize("field", ["name", "error", "notes", "label"])
def test_names_and_messages_cannot_become_markup(field):
    outcome = {
        "name": lambda: outcome_of(EVIL.replace("/", "\u2215")),
        "error": lambda: outcome_of("a.jpg", status="failed", error=EVIL),
        "notes": lambda: outcome_of("a.jpg", notes=(EVIL,)),
        "label": lambda: outcome_of("a.jpg", label=EVIL),
    }[field]()
    plain, evil = Scripts(write([outcome_of("a.jpg")])), Scripts(write([outcome]))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert any("\\u003cscript\\u003e" in text for text in evil.texts)


def test_names_that_are_no_text_are_kept():
    name = os.fsdecode(b"\xff.jpg")
    (row,) = rows_of(write([outcome_of(name)]))
    assert os.fsencode(row["photo"]) == b"in/\xff.jpg"
    assert row["links"][0] == "in/%FF.jpg"


def test_its_size_is_bounded():
    outcomes = [outcome_of(f"{number}.jpg") for number in range(9)]
    bound = len(write([])) + 2500
    rows = rows_of(write(outcomes, largest_bytes=bound))
    assert ["thumbnails" in row for row in rows] == sorted(
        ["thumbnails" in row for row in rows], reverse=True
    )
    assert ("thumbnails" in rows[0], "thumbnails" in rows[-1], len(rows)) == (True, False, 9)


def test_what_was_done_is_there_at_once():
    with PageWriter(Path("report.html"), {}) as page:
        outcome = outcome_of("a.jpg")
        page.write(outcome, describe_result(outcome, MODELS))
        assert len(rows_of(Path("report.html").read_text())) == 1


def test_says_when_it_cannot_be_written():
    Path("file").touch()
    with (
        pytest.raises(PhotoError, match=r"file/r\.html: .*check the folder"),
        PageWriter(Path("file/r.html"), {}),
    ):
        pass


# --- in a browser

PROBE = """<script>
addEventListener("load", () => {
  const set = (id, value) => {
    if (id === "down") by(id).checked = value; else by(id).value = value;
    by(id).dispatchEvent(new Event("input"));
  };
  const names = () => [...document.querySelectorAll("li .name")].map(n => n.textContent);
  const seen = { all: names(), alerts: window.alerts, pictures: document.images.length };
  set("label", "dog"); seen.dogs = names();
  set("label", ""); set("sort", "time"); seen.by_time = names();
  set("down", true); seen.slowest = names()[0];
  set("down", false); set("sort", "area"); seen.by_area = names();
  set("sort", "remaining"); set("down", true); seen.most_remains = names()[0];
  set("down", false); set("sort", "order"); set("search", "CUT OFF"); seen.searched = names();
  set("search", ""); set("least", "20"); seen.large = names();
  set("least", ""); set("status", "failed"); seen.failed = names();
  set("status", "remaining"); seen.remaining = names();
  set("status", "");
  seen.empty_save = by("save").disabled;
  for (const box of document.querySelectorAll(".reject input")) box.click();
  document.querySelector(".reject input").click();
  seen.list = rejectedText();
  seen.count = by("count").textContent;
  set("status", "rejected"); seen.rejected = names();
  document.title = JSON.stringify(seen);
  document.body.replaceChildren();  // Chromium cannot dump names that are no text
});
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_sorts_filters_searches_and_lists_in_a_browser(tmp_path):
    evil = EVIL.replace("/", "\u2215")
    strange = os.fsdecode(b"\xff.jpg")
    rest = (FoundObject(1, "person", 0.6, (0, 0, 5, 5), 25, True),)
    text = write(
        [
            outcome_of("a.jpg", share=0.1, seconds=3),
            outcome_of("b.jpg", label="dog", share=0.3, seconds=1, remaining=rest),
            outcome_of("c\n.jpg", status="failed", error="in/c.jpg: cut off", share=0, seconds=2),
            outcome_of(evil, share=0.2, seconds=9),
            outcome_of(strange, share=0.25, seconds=5),
        ]
    )
    head = "<script>window.alerts = 0; window.alert = () => { window.alerts++; }</script>"
    Path("probed.html").write_text(head + text + PROBE, encoding="utf-8")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}/profile",
    ]  # fmt: skip
    page = Path("probed.html").absolute().as_uri()
    dump = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", page], capture_output=True, check=True, timeout=120
    ).stdout.decode("utf-8", "replace")
    title = html.unescape(re.search("<title>(.*?)</title>", dump, re.DOTALL)[1])
    reported = json.loads(title)
    names = [name.removeprefix("in/") for name in reported["all"]]
    assert names[:4] == ["a.jpg", "b.jpg", "c\n.jpg", evil]
    assert reported["alerts"] == 0
    assert reported["pictures"] == 12
    assert reported["dogs"] == ["in/b.jpg"]
    assert reported["by_time"][:3] == ["in/b.jpg", "in/c\n.jpg", "in/a.jpg"]
    assert reported["slowest"] == f"in/{evil}"
    assert reported["by_area"][0] == "in/c\n.jpg"
    assert reported["by_area"][-1] == "in/b.jpg"
    assert reported["most_remains"] == "in/b.jpg"
    assert reported["searched"] == reported["failed"] == ["in/c\n.jpg"]
    assert reported["large"][:2] == ["in/b.jpg", f"in/{evil}"]
    assert reported["remaining"] == ["in/b.jpg"]
    assert reported["empty_save"] is True
    assert reported["count"] == "5 of 5 photos, 4 rejected"
    assert reported["list"].splitlines() == [
        "# Rejected photos, for 'cleanplate redo OUT --list FILE'",
        "in/b.jpg",
        '"in/c\\n.jpg"',
        f"in/{evil}",
        '"in/\\udcff.jpg"',
    ]
    assert len(reported["rejected"]) == 4
