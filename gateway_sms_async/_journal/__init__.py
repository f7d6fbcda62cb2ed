"""The write-ahead log of a campaign: what must survive a crash is on the disk before it matters.

Start with `journal.py`. `records.py` has the records, `replay.py` turns them back into a state.
"""
