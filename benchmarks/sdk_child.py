"""Sends with the vendor's SDK, and prints CPU microseconds per call. Runs in the SDK's environment.

python sdk_child.py URL COUNT
"""

import importlib
import sys
import time


def main(url: str, count: int) -> None:
    # Imported by name, since it is installed only in this environment.
    client = importlib.import_module("openapi_python_sdk.client").Client(token="token")
    payload = {"sender": "ACME", "body": "Ciao", "recipients": "+39-3401234567"}
    for _ in range(20):
        client.request("POST", f"{url}/messages/", payload)
    began = time.process_time()
    for _ in range(count):
        client.request("POST", f"{url}/messages/", payload)
    print((time.process_time() - began) / count * 1e6)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
