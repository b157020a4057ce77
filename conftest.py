"""One BLAS and OpenMP thread a process, set before NumPy loads.

Several spin while they wait for each other, beside as many of every other process under `-n`: a
test takes four times the processor time.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
