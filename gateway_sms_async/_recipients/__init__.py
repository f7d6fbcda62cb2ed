"""_recipients."""
