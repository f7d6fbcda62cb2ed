"""The ids of the messages that a client has made: each belongs to one, and only the last are kept."""

from __future__ import annotations

from time import process_time

from gateway_sms_async._http import opened_ids
from gateway_sms_async._http.opened_ids import OpenedIds


def test_an_id_is_claimed_once() -> None:
    ids = OpenedIds()
    assert ids.claim("a")
    assert not ids.claim("a")
    assert ids.claim("b")


def test_only_the_last_ids_are_kept() -> None:
    ids, most = OpenedIds(), opened_ids._MOST
    assert all(ids.claim(str(n)) for n in range(most + 1))
    assert not ids.claim("1")
    assert not ids.claim(str(most))
    assert ids.claim("0"), "it is the oldest"
    assert not ids.claim("2")


def test_a_claim_takes_no_longer_once_old_ids_are_forgotten() -> None:
    ids, most = OpenedIds(), opened_ids._MOST
    began = process_time()
    for n in range(4 * most):
        ids.claim(str(n))
    assert process_time() - began < 10
