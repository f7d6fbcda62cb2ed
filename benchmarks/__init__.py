"""Measurements, side by side in one run: `python -m benchmarks --list`. Not installed with the rest."""
