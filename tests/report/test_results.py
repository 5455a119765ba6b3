"""What others say to have verified and repeated, as the page shows it."""

import re

import pytest
from report import factory, spoiling

from attest.document import dump
from attest.report.render import render
from attest.report.source import read_sources

OTHER = factory.P256


def words_of(*bundles: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", render(bundles).decode()))


def test_a_comparison_that_somebody_made_again_says_so_on_the_first_screen():
    pair = factory.trio()[2]
    result = factory.sign(factory.result(pair, alignment="identical", controls="within-tolerance"), key=OTHER)
    words = words_of(pair, result)
    assert "V1 says that it was made again: 2 of 2 values came out the same." in words
    assert "About C1" in words
    assert "The statement itself names the same signer" not in words
    assert "controls: within-tolerance" in words


def test_values_that_came_out_otherwise_are_named():
    pair = factory.trio()[2]
    result = factory.result(pair, alignment="differs", norms="identical", panel="not-measured")
    words = words_of(pair, factory.sign(result, key=OTHER))
    assert "V1 says that it was made again: 1 of 3 values came out otherwise." in words
    assert "1 of 3 values came out the same; otherwise: alignment; not measured: panel" in words


def test_whoever_repeats_his_own_statement_is_seen():
    pair = factory.trio()[2]
    words = words_of(pair, factory.sign(factory.result(pair, alignment="identical"), key=factory.ED25519))
    assert "V1, by the same signer, says that it was made again" in words
    assert "The statement itself names the same signer." in words


def test_a_result_alone_is_about_something_that_is_not_here():
    words = words_of(factory.sign(factory.result(factory.trio()[2])))
    assert "About a statement that is not on this page" in words
    assert "nothing was measured or compared again" in words
    assert "What a verifier found" in words


def test_evidence_that_was_measured_again_says_so_where_nothing_is_compared():
    measured = factory.sign(factory.evidence())
    words = words_of(measured, factory.sign(factory.result(measured, files="identical"), key=OTHER))
    assert "V1 says that it was made again: 1 of 1 values came out the same." in words


@pytest.mark.parametrize("outcomes", [{}, {"x": "identical", "y": "differs", "z": "not-measured"}])
def test_everything_that_was_signed_is_shown(outcomes: dict[str, str]):
    bundle = factory.sign(factory.result(factory.trio()[2], **outcomes))
    words = words_of(bundle)
    (source,) = read_sources([bundle])
    for leaf in spoiling.leaves(dump(source.predicate)):
        assert (f"{leaf:,}" if isinstance(leaf, int) else str(leaf)).replace("'", "&#39;") in words
