"""_transaction."""
