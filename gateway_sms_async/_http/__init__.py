"""One request at a time, safely: the only way to the gateway.

Read `session` first: it combines the limiter, the retry table, the token and one attempt.
`transport` is the only module that knows aiohttp.
"""
