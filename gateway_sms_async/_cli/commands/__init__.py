"""The commands of `gateway-sms`, by what they work on. Each module registers its own on `app`.

No module in here may use `from __future__ import annotations`: `command` looks at the annotations
of a function to find its groups of options.
"""
