"""_campaign."""
