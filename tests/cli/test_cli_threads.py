"""How many threads numpy's products of matrices take under the command line."""

import os
import subprocess
import sys

import pytest

LOOK = """
import os, sys
from cleanplate.cli import main
assert "numpy" not in sys.modules, "it would have read the variables already"
main(["--version"])
print(os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_products_of_matrices_take_one_thread_unless_told_otherwise(given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    if given:
        environment["OPENBLAS_NUM_THREADS"] = given
    ran = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split()[-1] == expected
