"""The Celery recipe with its queue in the working directory, and with quick retries.

The worker of the test runs it: `celery -A celery_child worker`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))

from celery_tasks import app, send_text

app.conf.update(
    worker_lost_wait=0.1,
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": "queue",
        "data_folder_out": "queue",
        "polling_interval": 0.05,
    },
    result_backend="file://results",
)
send_text.default_retry_delay = 0.1
