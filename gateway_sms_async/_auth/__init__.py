"""Where tokens come from: an account's API key, a file, the environment.

Read `api_key` first. The OAuth service's calls are in `oauth`.
"""
