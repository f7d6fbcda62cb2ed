"""What the command line prints: results on stdout, status lines and progress on stderr.

Start with `console`; each other module prints one kind of thing.
"""
