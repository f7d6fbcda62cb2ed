"""The retry policy of tests."""

from gateway_sms_async import RetryPolicy

# Retries almost without waits.
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
