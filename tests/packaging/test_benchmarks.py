"""The benchmarks know the program as it is."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_stages_names_where_all_of_the_time_goes(tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "a.jpg")
    command = [BENCHMARKS / "stages.py", "--photos", tmp_path, "--remove", "person", "--times", "1"]
    ran = subprocess.run(
        [sys.executable, *map(str, command)], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    rows = [line.strip("| ").split(" | ") for line in ran.stdout.splitlines() if "%" in line]
    shares = {row[0]: float(row[2].rstrip("%")) for row in rows}
    assert shares["outlines: network"] > 0
    assert shares["fill: completion network"] > 0
    assert shares["rest"] < 10
