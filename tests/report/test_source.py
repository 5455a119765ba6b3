from dataclasses import replace
from itertools import permutations

import pytest
from report import factory

from attest.bundle import Bundle
from attest.envelope import Envelope
from attest.errors import DocumentError, InputError
from attest.report.source import MAX_SOURCES, read_sources
from attest.statement import PAYLOAD_TYPE, DigestSet, Statement, Subject


def test_order_and_labels_do_not_depend_on_how_bundles_are_given():
    first, second, pair = factory.trio()
    for given in permutations((first, second, pair)):
        read = read_sources(given)
        assert [(source.label, source.data) for source in read] == [("E1", first), ("E2", second), ("C1", pair)]


def test_evidence_follows_the_comparison_also_where_only_the_files_are_the_same():
    first, second = factory.evidence(1, "a"), factory.evidence(2, "b")
    sides = (factory.side(one, factory.sign(one)) for one in (first, second))
    pair = factory.comparison(*(replace(side, statement_sha256=None) for side in sides))
    bundles = [factory.sign(one) for one in (second, first, pair)]
    assert [source.data for source in read_sources(bundles)] == [bundles[1], bundles[0], bundles[2]]


def test_the_same_bundle_twice_is_one_source():
    bundle = factory.sign(factory.evidence())
    assert len(read_sources([bundle, bundle])) == 1


def test_file_names_come_from_the_statement():
    (source,) = read_sources([factory.sign(factory.evidence())])
    assert source.file_name == f"evidence-{source.statement.digest[:12]}.sigstore.json"


def test_subjects_that_the_file_list_does_not_hold_are_named():
    measured = factory.evidence()
    foreign = Subject(name="other", digest=DigestSet(sha256="0" * 64))
    renamed = replace(factory.subjects_of(measured)[0], name="another-name")
    bundle = factory.sign(measured, subjects=(*factory.subjects_of(measured), foreign, renamed))
    (source,) = read_sources([bundle])
    assert source.unlisted_subjects == (foreign, renamed)


@pytest.mark.parametrize("count", [0, MAX_SOURCES + 1])
def test_too_few_and_too_many_are_refused(count: int):
    with pytest.raises(InputError) as caught:
        read_sources([b"{}"] * count)
    assert caught.value.code == "bundle-count"


def test_a_predicate_that_no_report_shows_is_refused():
    statement = Statement.build(
        subjects=factory.subjects_of(factory.evidence()), predicate_type="https://slsa.dev/provenance/v1", predicate={}
    )
    envelope = Envelope(payload=statement.payload, payload_type=PAYLOAD_TYPE, signature=b"\0" * 64)
    bundle = Bundle(content=envelope, key_hint="0" * 64).to_json()
    with pytest.raises(DocumentError) as caught:
        read_sources([factory.sign(factory.evidence()), bundle])
    assert (caught.value.code, caught.value.where) == ("unknown-predicate", "bundle 2")


def test_a_predicate_that_is_not_of_its_schema_is_refused():
    bundle = Bundle.from_json(factory.sign(factory.evidence()), where="bundle")
    payload = bundle.envelope.payload.replace(b'"fileCount":5', b'"fileCount":"5"')
    broken = replace(bundle, content=replace(bundle.envelope, payload=payload)).to_json()
    with pytest.raises(DocumentError) as caught:
        read_sources([broken])
    assert caught.value.where == "bundle 1#/predicate#/checkpoint/fileCount"
