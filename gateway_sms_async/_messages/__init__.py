"""The gateway's seven calls.

Read `messages` first, the calls as users make them. Transactions and polling use `api`.
"""
