"""Numerical libraries in one thread: our matrices are small, where a pool of threads costs more CPU than it saves time."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment of a process that is to be so; must stand before numpy is imported. Each thread also reserves address space."""
