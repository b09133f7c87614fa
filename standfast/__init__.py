"""Standfast keeps message queue managers available; see docs/concepts.md."""

__version__ = "0.1.0"
