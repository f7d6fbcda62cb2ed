"""Lists of recipients in files: CSV, JSON Lines or one number a line.

Start with `recipient_list`. A file passes through `text_file` (bytes to clean lines), `detect`
(which format is it) and `formats` (lines to rows).
"""
