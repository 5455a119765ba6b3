"""Usable cores: those of this process, where the system tells, and work on all of them."""

import os

import pytest

from attest.cores import on_all_cores, usable_cores


def test_it_is_at_least_one_and_no_more_than_there_are() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_where_the_system_does_not_tell_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize("cores", [1, 3])
def test_results_stand_in_the_order_of_their_items_and_errors_come_through(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.cores.usable_cores", lambda: cores)
    assert on_all_cores(lambda item: item * item, range(50)) == [item * item for item in range(50)]
    assert on_all_cores(len, []) == []
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda item: 1 // item, [1, 0, 2])
