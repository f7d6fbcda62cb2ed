"""_auth."""
