"""Campaigns in the background of a service or bot: the tasks, and where their journals are."""
