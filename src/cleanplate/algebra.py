"""Threads of NumPy's linear algebra."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment of a process that does photos, set before NumPy is loaded. Matrices are small here:
more threads wait for each other, and they add in another order, which changes last bits."""
