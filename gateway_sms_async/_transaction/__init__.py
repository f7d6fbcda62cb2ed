"""One message: open it, append batches, close it exactly once, and prove which recipients it holds.

Start with `builder.py`. `message.py`, `accumulator.py` and `reconcile.py` have no I/O.
"""
