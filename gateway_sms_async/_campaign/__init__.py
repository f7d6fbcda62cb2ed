"""Campaigns: one message after another until every recipient is settled.

Read `campaign.py` first. `start.py` makes a campaign from the arguments of `send_bulk`, `resume.py`
from a journal. Only the client, the preview, the background campaigns and the command line import
from here.
"""
