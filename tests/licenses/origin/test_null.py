"""Of files that are drawn alike at most one in twenty is called distinctive, whatever is left out of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from programs import program

from attest.licenses.origin import common_of, compare_code
from attest.licenses.origin.null import Null
from attest.licenses.source import Source
from attest.repository_scan import DISTINCTIVE

SHARES = arrays(np.float64, st.tuples(st.integers(21, 41), st.just(2)), elements=st.integers(0, 8).map(lambda n: n / 8))


def ranks(pairs: np.ndarray) -> list[float]:
    """The rank of each file among the others."""
    found = []
    for place, (nearest, margin) in enumerate(pairs.tolist()):
        others = np.delete(pairs, place, axis=0)
        null = Null.of(np.zeros(0), others[:, 0], others[:, 1])
        found.append(float(null.both_percentile(nearest, margin) or 0))
    return found


@given(SHARES)
@settings(max_examples=25)
def test_at_most_one_in_twenty_of_any_files_is_distinctive_among_the_others(pairs: np.ndarray):
    assert sum(rank >= DISTINCTIVE for rank in ranks(pairs)) * 20 <= len(pairs)


@given(SHARES)
@settings(max_examples=25)
def test_the_rank_is_that_among_the_counts_of_all_with_the_ranked_one(pairs: np.ndarray):
    counts = np.array([(pairs >= one).all(axis=1).sum() for one in pairs])
    null = Null.of(np.zeros(0), pairs[:-1, 0], pairs[:-1, 1])
    assert float(null.both_percentile(*pairs[-1].tolist()) or 0) == pytest.approx(
        (counts > counts[-1]).mean(), abs=5e-5
    )


def test_likeness_and_lead_that_go_their_own_ways_make_no_crowd_of_distinctive_files():
    pairs = np.random.default_rng(0).random((200, 2))
    surpassed = [((pairs >= one).all(axis=1)).sum() - 1 for one in pairs]
    assert np.mean(np.array(surpassed) <= 10) > 0.1  # what was called distinctive before
    assert sum(rank >= DISTINCTIVE for rank in ranks(pairs)) <= 10


def test_a_file_that_surpasses_all_others_is_distinctive():
    null = Null.of(np.zeros(0), np.linspace(0, 0.9, 20), np.linspace(0, 0.4, 20))
    assert float(null.both_percentile(0.95, 0.5) or 0) >= DISTINCTIVE
    assert null.both_percentile(0, 0) == "0"


@pytest.mark.parametrize("third", [(), tuple(range(700, 703))])
def test_strangers_from_one_family_are_hardly_ever_distinctive(third: tuple[int, ...]):
    """Four of 24 programs, each beside the other 23; all began with the same third, and have pieces of one another."""
    rng = np.random.default_rng(3)
    texts = [program(*range(700, 703), *rng.integers(800, 820, 3).tolist(), 900 + number) for number in range(24)]
    files = [Source.of(f"m{number}.py", text.encode()) for number, text in enumerate(texts)]
    common = common_of([[Source.of("third.py", program(*third).encode())]] if third else [])
    found = [
        origin
        for place in range(4)
        for origin in compare_code([files[place]], files[:place] + files[place + 1 :], common).origins
    ]
    assert len(found) >= 3
    assert all((float(origin.common) > 0.3) == bool(third) for origin in found)
    assert sum(origin.is_distinctive for origin in found) <= 1
