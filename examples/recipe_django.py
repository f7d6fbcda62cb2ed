"""A Django project in one file: an async view that sends a text, and its tests.

Run the tests with `python recipe_django.py test recipe_django`. In a project of your own, the settings, the view
and the tests stand in their usual places.
"""

import os
import sys
from http import HTTPStatus

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.test import SimpleTestCase, override_settings
from django.urls import path

from gateway_sms_async import GatewayClient, GatewayError, OutcomeUnknownError
from gateway_sms_async.testing import Simulator

if not settings.configured:  # the test runner imports this file a second time
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for this example",
        GATEWAY_TOKEN=os.environ.get("OPENAPI_TOKEN", ""),
        GATEWAY_URL=None,
    )
    django.setup()

ANNA = "+39 340 1234567"


async def invite(request: HttpRequest, guest: str) -> JsonResponse:
    """Send one invitation. A second request for the same guest gets the same reference."""
    # A client belongs to one event loop, and Django may run each request in another one.
    async with GatewayClient(
        settings.GATEWAY_TOKEN, base_url=settings.GATEWAY_URL, rate=None
    ) as gateway:
        try:
            await gateway.messages.send(
                sender="ACME",
                body="You are invited",
                recipients=request.GET["number"],
                reference=f"invite-{guest}",
            )
        except OutcomeUnknownError:
            # Perhaps it was sent. Look for the reference later; do not send again.
            return JsonResponse({"sent": None}, status=HTTPStatus.ACCEPTED)
        except GatewayError:
            return JsonResponse({"sent": False}, status=HTTPStatus.BAD_GATEWAY)
    return JsonResponse({"sent": True})


urlpatterns = [path("invite/<str:guest>", invite)]


class InviteTests(SimpleTestCase):
    def setUp(self) -> None:
        self.simulator = self.enterContext(Simulator())
        here = {"GATEWAY_URL": self.simulator.url, "GATEWAY_TOKEN": self.simulator.token}
        self.enterContext(override_settings(**here))

    def test_a_guest_is_invited(self) -> None:
        response = self.client.get("/invite/anna", {"number": ANNA})
        assert response.json() == {"sent": True}
        self.simulator.assert_sent({ANNA: "You are invited"})

    async def test_a_lost_answer_does_not_lead_to_a_second_text(self) -> None:
        self.simulator.fail_next("send", after_apply=True)
        response = await self.async_client.get("/invite/anna", {"number": ANNA})
        assert response.json() == {"sent": True}
        self.simulator.assert_sent({ANNA: "You are invited"})

    def test_an_unknown_outcome_is_reported(self) -> None:
        self.simulator.fail_next("send", after_apply=True)
        self.simulator.fail_next("list", status=403)
        response = self.client.get("/invite/anna", {"number": ANNA})
        assert response.json() == {"sent": None}


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
