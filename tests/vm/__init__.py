"""Small machines with kernels of their own, and what only they can show: `make test-vm`."""
