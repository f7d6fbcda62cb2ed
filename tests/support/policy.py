"""How often tests let a client try again."""

from gateway_sms_async import RetryPolicy

# Retries without the waits of real life.
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
