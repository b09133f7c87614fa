"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How long an example takes is the matter of benchmarks, not of tests: a busy machine is no failure.
settings.register_profile("standfast", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("standfast")
