"""The delivery of messages after they were sent: states, lists of recipients, figures.

Start with `polling.py`. The client uses this package, and the command line its figures. `callbacks`
uses `state.py`.
"""
