"""Files that the command line writes: the outcomes of a campaign, deliveries, an HTML page."""
