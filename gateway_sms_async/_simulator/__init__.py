"""A simulator of the SMS gateway, for tests: the documented rules, open questions as settings, faults.

Start with `server.py`. It shares no code with the client, so that a misreading of the protocol
cannot be in both. Users import it from `gateway_sms_async.testing`.
"""
