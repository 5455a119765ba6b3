from dataclasses import replace

from report import factory

from attest.comparison import Comparison, Side
from attest.evidence import Evidence
from attest.policy_file import DEFAULT_POLICY
from attest.report.source import read_sources
from attest.report.view import Page, page


def page_of(*predicates: Evidence | Comparison) -> Page:
    return page(read_sources([factory.sign(one) for one in predicates]), DEFAULT_POLICY)


def sides() -> tuple[Evidence, Evidence, Side, Side]:
    first, second = factory.evidence(1, "a"), factory.evidence(2, "b")
    return first, second, factory.side(first, factory.sign(first)), factory.side(second, factory.sign(second))


def ties(content: Page) -> list[tuple[str | None, str]]:
    return [
        (side.evidence.label if side.evidence else None, side.tie)
        for view in content.comparisons
        for side in view.sides
    ]


def test_sides_are_tied_by_the_statement():
    first, second, a, b = sides()
    assert ties(page_of(first, second, factory.comparison(a, b))) == [("E1", "statement"), ("E2", "statement")]


def test_sides_are_tied_by_their_files_where_the_statement_is_another():
    first, second, a, b = sides()
    pair = factory.comparison(replace(a, statement_sha256=None), replace(b, statement_sha256="0" * 64))
    assert ties(page_of(first, second, pair)) == [("E1", "files"), ("E2", "files")]


def test_a_side_that_names_a_statement_but_other_files_is_a_contradiction():
    first, second, a, b = sides()
    pair = factory.comparison(replace(a, tree_digest="0" * 64), b)
    assert ties(page_of(first, second, pair)) == [("E1", "contradiction"), ("E2", "statement")]


def test_a_side_without_evidence_on_the_page_is_tied_to_nothing():
    first, _, a, b = sides()
    assert ties(page_of(first, factory.comparison(a, b))) == [("E1", "statement"), (None, "")]


def test_compared_checkpoints_are_drawn_together_and_others_alone():
    first, second, a, b = sides()
    third = factory.evidence(3, "c")
    content = page_of(first, second, third, factory.comparison(a, b))
    drawn = {
        (profile.id, tuple(member.label for member in profile.members)): [figure.svg for figure in profile.figures]
        for profile in content.profiles
    }
    together, alone = drawn["attention-std/v1", ("E1", "E2")], drawn["attention-std/v1", ("E3",)]
    assert [one.count("<polyline") for one in together] == [2, 2, 2, 2]
    assert [one.count("<polyline") for one in alone] == [1, 1, 1, 1]
    assert [len(view.members) for view in content.activations] == [2, 1]


def test_tables_of_other_columns_are_drawn_apart():
    first, second, a, _ = sides()
    tables = tuple(
        replace(one, table=replace(one.table, columns=("layer", "q", "k", "v", "other")))
        if one.id == "attention-std/v1" and one.table
        else one
        for one in second.fingerprints
    )
    second = replace(second, fingerprints=tables)
    pair = factory.comparison(a, factory.side(second, factory.sign(second)))
    profile = next(one for one in page_of(first, second, pair).profiles if one.id == "attention-std/v1")
    assert [figure.svg.count("<polyline") for figure in profile.figures] == [1] * 8


def test_activations_on_other_prompts_are_drawn_apart():
    first, second, a, _ = sides()
    assert second.activations
    second = replace(second, activations=replace(second.activations, prompt_set_sha256="0" * 64))
    pair = factory.comparison(a, factory.side(second, factory.sign(second)))
    assert [len(view.members) for view in page_of(first, second, pair).activations] == [1, 1]


def test_descriptive_numbers_are_kept_apart_from_tests():
    *_, a, b = sides()
    (view,) = page_of(factory.comparison(a, b)).comparisons
    assert {one.test.calibration for one in view.calibrated} == {"exact"}
    assert {one.test.calibration for one in view.descriptive} == {"descriptive"}


def test_findings_are_grouped_by_code_in_the_order_that_the_scan_gave():
    (view,) = page_of(factory.evidence()).licenses
    assert [(code, len(found)) for code, found in view.findings] == [
        ("declared-licenses-differ", 1),
        ("license-file", 1),
        ("notice-file", 1),
        ("declared-license", 1),
        ("copyright", 2),
        ("provenance-comment", 1),
    ]


def test_limits_that_several_bundles_name_stand_once():
    first, second, a, b = sides()
    content = page_of(first, second, factory.comparison(a, b))
    assert [labels for labels, _ in content.limits] == [("E1", "E2"), ("C1",)]


def test_identifiers_are_unique_on_the_page():
    first, second, a, b = sides()
    content = page_of(first, second, factory.evidence(3, "c"), factory.comparison(a, b), factory.comparison(b, a))
    idents = [profile.ident for profile in content.profiles]
    idents += [view.ident for view in content.activations]
    idents += [test.ident for view in content.comparisons for test in (*view.calibrated, *view.descriptive)]
    assert len(set(idents)) == len(idents)
