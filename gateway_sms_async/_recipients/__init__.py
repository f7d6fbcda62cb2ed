"""From what a caller passes as recipients to batches of valid numbers.

Read `batches.py` first; `numbers.py` knows how the gateway writes a number. No I/O.
"""
