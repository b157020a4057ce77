"""The documentation builds as a site without warnings, and needs no other server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|img|iframe)[^>]*?src=\"(\w+:)?//|<link[^>]*href=\"(\w+:)?//")


@pytest.mark.slow
def test_site_builds_without_warnings_and_works_offline(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    pages = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.glob("*.html")}
    assert 'id="cleanplate.Remover"' in pages["reference.html"]
    for name, text in pages.items():
        assert not LOADED.search(text), f"{name} loads from another server"
