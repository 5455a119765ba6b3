"""The report's content in the order it is read: records in, rows and figures out, no markup but charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from attest.attestation_result import AttestationResult
from attest.comparison import Comparison, Control, Found, Rank, Side, Test
from attest.evidence import ActivationSummary, Evidence, FingerprintSummary
from attest.policy import Conclusion, Rung, conclude
from attest.policy_file import DEFAULT_POLICY, Policy
from attest.protocol import Protocol
from attest.reading import Reading
from attest.report.figure import (
    Figure,
    by_layer,
    constants,
    layer_figures,
    layer_statistics_figure,
    matrix_figure,
    null_figure,
)
from attest.report.result_view import ResultView, result_view
from attest.report.scan_view import LicenseView, ScanView, license_view, scan_view
from attest.report.source import Source
from attest.repository_scan import RepositoryScan

__all__ = ["Page", "page"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SideView:
    """One side of a comparison, and the evidence on the page that it names.

    ``tie`` says by what: ``statement`` (the very statement), ``files`` (another measurement of the same files), or
    ``contradiction`` (that statement, which however gives another tree digest).
    """

    letter: str
    side: Side
    evidence: Source | None
    tie: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TestView:
    """One test with its figures, and its rank in the comparison's reference panel."""

    test: Test
    ident: str
    figures: tuple[Figure, ...]
    rank: Rank | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundView:
    """One table of what was found where, with its figure if it is a matrix."""

    found: Found
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingView:
    """One exact test as the policy reads it, with its two decisive controls, each of both sides."""

    reading: Reading
    itself: tuple[Control, ...]
    shuffled: tuple[Control, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolView:
    """One protocol, and the comparisons on the page that name it."""

    source: Source
    protocol: Protocol
    comparisons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonView:
    """One comparison with the rung that the page's policy reaches, and the protocol that it names, if it is here.

    ``default_rung`` is what the default policy reaches, where the page reads by another one; ``other_policy`` says that
    the protocol announced another policy than the page reads by.
    """

    source: Source
    comparison: Comparison
    conclusion: Conclusion
    default_rung: Rung | None
    readings: tuple[ReadingView, ...]
    protocol: Source | None
    other_policy: bool
    sides: tuple[SideView, ...]
    calibrated: tuple[TestView, ...]
    descriptive: tuple[TestView, ...]
    found: tuple[FoundView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceView:
    """One evidence bundle."""

    source: Source
    evidence: Evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberView:
    """One checkpoint's share of a fingerprint; ``constants`` are columns that hold one value in all layers."""

    label: str
    summary: FingerprintSummary
    constants: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileView:
    """One fingerprint, from one checkpoint or from the two that were compared."""

    ident: str
    id: str
    members: tuple[MemberView, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationView:
    """The activation profiles of one checkpoint, or of the two that were compared."""

    ident: str
    members: tuple[tuple[EvidenceView, ActivationSummary], ...]
    figures: tuple[Figure, ...]
    profiles: tuple[ProfileView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything that the template shows."""

    sources: tuple[Source, ...]
    policy: Policy
    protocols: tuple[ProtocolView, ...]
    comparisons: tuple[ComparisonView, ...]
    results: tuple[ResultView, ...]
    evidences: tuple[EvidenceView, ...]
    scans: tuple[ScanView, ...]
    licenses: tuple[LicenseView, ...]
    profiles: tuple[ProfileView, ...]
    activations: tuple[ActivationView, ...]
    limits: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def _side(letter: str, side: Side, sources: Sequence[Source]) -> SideView:
    """The evidence that a side names: by statement digest first, else by tree digest."""
    held = [(source, source.predicate) for source in sources if isinstance(source.predicate, Evidence)]
    for source, evidence in held:
        if source.statement.digest == side.statement_sha256:
            same = evidence.checkpoint.tree_digest == side.tree_digest
            return SideView(letter=letter, side=side, evidence=source, tie="statement" if same else "contradiction")
    for source, evidence in held:
        if evidence.checkpoint.tree_digest == side.tree_digest:
            return SideView(letter=letter, side=side, evidence=source, tie="files")
    return SideView(letter=letter, side=side, evidence=None, tie="")


def _test(ident: str, test: Test, comparison: Comparison) -> TestView:
    figures = (null_figure(f"{ident}-null", test), layer_statistics_figure(f"{ident}-layers", test))
    ranks = comparison.panel.ranks if comparison.panel else ()
    return TestView(
        test=test,
        ident=ident,
        figures=tuple(figure for figure in figures if figure),
        rank=next((rank for rank in ranks if rank.id == test.id), None),
    )


def _reading(reading: Reading, controls: Sequence[Control]) -> ReadingView:
    mine = [one for one in controls if one.test == reading.test]
    return ReadingView(
        reading=reading,
        itself=tuple(one for one in mine if one.kind == "itself"),
        shuffled=tuple(one for one in mine if one.kind == "shuffled"),
    )


def _comparison(source: Source, comparison: Comparison, sources: Sequence[Source], policy: Policy) -> ComparisonView:
    conclusion = conclude(comparison, policy)
    named = comparison.protocol.statement_sha256 if comparison.protocol else None
    protocol = next((one for one in sources if one.statement.digest == named), None)
    announced = protocol.predicate.policy if protocol and isinstance(protocol.predicate, Protocol) else policy
    tests = [
        _test(f"{source.label}-test-{number}", test, comparison)
        for number, test in enumerate(comparison.tests, start=1)
    ]
    return ComparisonView(
        source=source,
        comparison=comparison,
        conclusion=conclusion,
        default_rung=None if policy == DEFAULT_POLICY else conclude(comparison).rung,
        readings=tuple(_reading(one, comparison.controls) for one in conclusion.readings),
        protocol=protocol,
        other_policy=announced != policy,
        sides=(_side("A", comparison.a, sources), _side("B", comparison.b, sources)),
        calibrated=tuple(one for one in tests if one.test.calibration != "descriptive"),
        descriptive=tuple(one for one in tests if one.test.calibration == "descriptive"),
        found=tuple(
            _found(f"{source.label}-found-{number}", one) for number, one in enumerate(comparison.found, start=1)
        ),
    )


def _found(ident: str, found: Found) -> FoundView:
    figure = matrix_figure(ident, found)
    return FoundView(found=found, figures=(figure,) if figure else ())


def _licenses(evidences: Sequence[EvidenceView], scans: Sequence[ScanView]) -> Iterator[LicenseView]:
    """Scans of licenses: those beside a checkpoint, and those of repositories."""
    for one in evidences:
        if one.evidence.licenses:
            yield license_view(one.source, one.evidence.checkpoint.name, one.evidence.licenses)
    for view in scans:
        yield license_view(view.source, view.scan.repository.name, view.scan.licenses, view.scan.notices)


def _groups(comparisons: Sequence[ComparisonView], evidences: Sequence[EvidenceView]) -> list[tuple[EvidenceView, ...]]:
    """Evidences that are drawn together: the two of a comparison in one chart, every other alone."""
    left = {view.source.label: view for view in evidences}
    groups: list[tuple[EvidenceView, ...]] = []
    for view in comparisons:
        labels = [side.evidence.label for side in view.sides if side.evidence]
        if len(set(labels)) == len(view.sides) and all(label in left for label in labels):
            groups.append(tuple(left.pop(label) for label in labels))
    return groups + [(view,) for view in evidences if view.source.label in left]


Summaries: TypeAlias = Sequence[tuple[str, Sequence[FingerprintSummary]]]


def _profiles(prefix: str, held_by: Summaries) -> list[ProfileView]:
    """Fingerprints of a group with the labels of their evidence, those of one id together, in order of appearance."""
    found: dict[str, list[MemberView]] = {}
    for label, summaries in held_by:
        for summary in summaries:
            layered = summary.table and by_layer(summary.table)
            flat = constants(summary.table) if summary.table and layered else ()
            member = MemberView(label=label, summary=summary, constants=flat)
            found.setdefault(summary.id, []).append(member)
    profiles = []
    for number, (name, members) in enumerate(found.items(), start=1):
        ident = f"{prefix}-fingerprint-{number}"
        held = [(member.label, member.summary.table) for member in members]
        tables = [(label, table) for label, table in held if table and by_layer(table)]
        shared = len({table.columns for _, table in tables}) == 1 and len(tables) <= len(held_by)
        batches = [tables] if shared else [[table] for table in tables]
        figures = [figure for index, batch in enumerate(batches) for figure in layer_figures(f"{ident}-{index}", batch)]
        profiles.append(ProfileView(ident=ident, id=name, members=tuple(members), figures=tuple(figures)))
    return profiles


def _weight_profiles(group: Sequence[EvidenceView]) -> list[ProfileView]:
    return _profiles(group[0].source.label, [(view.source.label, view.evidence.fingerprints) for view in group])


def _activations(group: Sequence[EvidenceView]) -> list[ActivationView]:
    members = [(view, view.evidence.activations) for view in group if view.evidence.activations]
    kinds = {(one.id, one.prompt_set_sha256, one.table.columns) for _, one in members}
    batches = [members] if len(kinds) == 1 else [[member] for member in members]
    views = []
    for batch in batches:
        ident = f"{batch[0][0].source.label}-activations"
        tables = [(view.source.label, one.table) for view, one in batch if by_layer(one.table)]
        figures = layer_figures(ident, tables) if tables else ()
        others = _profiles(ident, [(view.source.label, one.fingerprints) for view, one in batch])
        views.append(ActivationView(ident=ident, members=tuple(batch), figures=figures, profiles=tuple(others)))
    return views


def _limits(sources: Sequence[Source]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """What the bundles say that they do not show, with the labels of those that say the same."""
    said: dict[tuple[str, ...], list[str]] = {}
    for source in sources:
        said.setdefault(source.predicate.does_not_show, []).append(source.label)
    return tuple((tuple(labels), sentences) for sentences, labels in said.items())


def _protocol(source: Source, protocol: Protocol, comparisons: Sequence[ComparisonView]) -> ProtocolView:
    named = tuple(one.source.label for one in comparisons if one.protocol == source)
    return ProtocolView(source=source, protocol=protocol, comparisons=named)


def page(sources: Sequence[Source], policy: Policy) -> Page:
    """The report's content from its sources, read by a policy."""
    comparisons = [
        _comparison(source, source.predicate, sources, policy)
        for source in sources
        if isinstance(source.predicate, Comparison)
    ]
    protocols = [
        _protocol(source, source.predicate, comparisons) for source in sources if isinstance(source.predicate, Protocol)
    ]
    evidences = [
        EvidenceView(source=source, evidence=source.predicate)
        for source in sources
        if isinstance(source.predicate, Evidence)
    ]
    scans = [scan_view(source, source.predicate) for source in sources if isinstance(source.predicate, RepositoryScan)]
    results = [
        result_view(source, source.predicate, sources)
        for source in sources
        if isinstance(source.predicate, AttestationResult)
    ]
    groups = _groups(comparisons, evidences)
    return Page(
        sources=tuple(sources),
        policy=policy,
        protocols=tuple(protocols),
        comparisons=tuple(comparisons),
        results=tuple(results),
        evidences=tuple(evidences),
        scans=tuple(scans),
        licenses=tuple(_licenses(evidences, scans)),
        profiles=tuple(profile for group in groups for profile in _weight_profiles(group)),
        activations=tuple(view for group in groups for view in _activations(group)),
        limits=_limits(sources),
    )
