"""A campaign in shards: many small journals in one folder, run one after the other.

A number is in one shard only, so each shard is a campaign of its own, and memory is that of a few
shards, however long the list is.
"""
