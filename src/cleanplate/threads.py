"""Threads of NumPy's linear algebra."""

ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""Environment of a process that does photos, set before NumPy is loaded. Products of matrices are
so small here that a second thread gains 3 % of what they are part of; where something else wants a
core, they wait for each other, which takes seven times as long; and they add in another order,
which changes last bits."""
