"""A whole cluster in one process, on a virtual clock, driven by the real member core. Seeded: a run can be replayed."""
