"""README, the checks and the changelog agree with each other and with the package."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cleanplate

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_ci_runs_the_commands_of_the_readme():
    shown = subprocess.run(
        ["bash", ROOT / ".ci" / "run", "--show"], capture_output=True, text=True, check=True
    )
    install, test = shown.stdout.splitlines()
    assert install == 'pip install -e ".[dev,train]"'
    assert '-m "slow or not slow"' in test
    assert "--durations=15" in test
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```sh\n{install}\n{test}\n```" in readme


def test_changelog_knows_the_version():
    assert cleanplate.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_readme_states_the_supported_pythons():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [
        entry.rsplit(" ", 1)[1]
        for entry in project["classifiers"]
        if re.search(r"Python :: 3\.\d+$", entry)
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {named[0]} to {named[-1]}" in readme
    assert project["requires-python"] == f">={named[0]}"


def test_pictures_are_small_enough():
    for picture in (ROOT / "docs" / "images").iterdir():
        limit = 150_000 if picture.name.startswith("gallery_") else 300_000
        assert picture.stat().st_size <= limit, picture.name


@pytest.mark.slow
def test_design_states_what_a_photo_crosses():
    traced = subprocess.run(
        [sys.executable, ROOT / "docs" / "trace_photo.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    design = " ".join((ROOT / "docs" / "design.md").read_text(encoding="utf-8").split())
    for line in traced.stdout.splitlines():
        assert line in design
    frames, modules = map(int, re.findall(r"\d+", traced.stdout.splitlines()[0]))
    assert frames <= 12
    assert modules <= 52
