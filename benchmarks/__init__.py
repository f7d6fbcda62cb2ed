"""Benchmarks: `python -m benchmarks --list`. They are not installed with the package."""
