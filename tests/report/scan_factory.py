"""A scan of a repository with plausible numbers, made from records."""

from report import factory

from attest.digest import sha256
from attest.evidence import Detail
from attest.finding import Finding
from attest.repository_scan import (
    CodeOrigins,
    CommonCode,
    DatedFile,
    Dating,
    HolderNotice,
    IdenticalFile,
    NoticeChange,
    NoticeHistory,
    NoticeMonth,
    Origin,
    OriginMethod,
    RepositoryScan,
    ScannedRepository,
)

_NOTICE = "# Copyright 2024 The Example Team and The HuggingFace Inc. team. All rights reserved."


def repository(name: str, kind: str = "folder", revision: str | None = None) -> ScannedRepository:
    commit = "c0ffee" * 6 + "c0ff" if kind == "revision" else None
    return ScannedRepository(
        name=name,
        kind=kind,
        revision=revision,
        commit=commit,
        files=217,
        bytes=1_482_990,
        tree_digest=sha256(name.encode()),
    )


def origin(path: str, containment: str, nearest: str | None, missing: tuple[str, ...] = ()) -> Origin:
    return Origin(
        path=path,
        tokens=4129,
        common="0.1234",
        identical=containment == "1",
        origin=f"models/{path}",
        containment=containment,
        reverse="0.9044",
        blind_containment="0.9812",
        runner_up="models/stablelm.py",
        margin="0.0712",
        percentile=nearest,
        nearest_percentile=nearest,
        both_percentile=nearest,
        missing_notices=missing,
    )


def holder(*, named: bool) -> HolderNotice:
    here = Finding(code="copyright", path="NOTICE", line=3, text="Copyright 2018- The Example Team")
    return HolderNotice(
        notice=Finding(code="copyright", path="LICENSE", line=1, text="Copyright 2018- The Example Team"),
        alike=2,
        named=(here,) if named else (),
        mentioned=() if named else ("README.md",),
    )


def origins() -> CodeOrigins:
    listed = (
        origin("configuration_example.py", "0.7533", "0.673"),
        origin("modeling_example.py", "0.9664", "0.9874", (_NOTICE,)),
        origin("tokenization_example.py", "1", None),
    )
    return CodeOrigins(
        method=OriginMethod(
            id="code-grams/v3", gram_tokens=12, window=8, least_tokens=80, least_containment="0.3", least_null_files=20
        ),
        reference=repository("transformers-4.44.2", "history"),
        findings=(Finding(code="history-incomplete", path=".", line=None, text="objects … lacks: 12"),),
        common=CommonCode(
            repositories=(repository("transformers-4.30.0", "archive"),), programs=3, reference_programs=210,
            identical_count=1, identical=(IdenticalFile(path="utils.py", origin="src/utils.py"),),
        ),
        programs=31,
        reference_programs=2411,
        null_files=800,
        identical_count=57,
        identical=(IdenticalFile(path="tokenizer.json", origin="fixtures/tokenizer.json"),),
        origin_count=12,
        missing_notice_count=1,
        notices=(holder(named=False), holder(named=True)),
        origins=listed,
        dating=Dating(
            releases=tuple(repository(f"transformers-{version}.whl", "archive") for version in ("4.42.4", "4.44.0", "4.45.2")),
            files=(
                DatedFile(path="modeling_example.py", origin="models/modeling_example.py", containments=("0.907", "0.9664", "0.688")),
                DatedFile(path="configuration_example.py", origin="models/configuration_example.py", containments=("0.7533",) * 3),
            ),
        ),
        detail="detail/origins.json",
    )  # fmt: skip


def notices() -> NoticeHistory:
    change = NoticeChange(
        commit="f" * 40, time="2025-09-22T02:08:09Z", path="modeling_example.py", before="b10b" * 10, after="b10c" * 10, removed=(_NOTICE,),
        added=("# Copyright (c) 2025 Example Co., Ltd. All rights reserved.",),
    )  # fmt: skip
    return NoticeHistory(
        commit="c0ffee" * 6 + "c0ff",
        change_count=43,
        months=(NoticeMonth(month="2025-06", added=4, removed=0), NoticeMonth(month="2025-09", added=1, removed=39)),
        changes=(change,),
        detail="detail/notices.json",
    )


def scan(name: str = "example-moe") -> RepositoryScan:
    licenses = factory.evidence().licenses
    assert licenses is not None
    return RepositoryScan(
        measured_at="2026-11-21T09:14:27Z",
        command=("attest", "scan", name, "--history", "--against", "transformers-4.44.2"),
        tool=factory.TOOL,
        environment=factory.ENVIRONMENT,
        assurance_level="self-attested",
        repository=repository(name, "revision", "main"),
        copied_from=(repository("base-library", "revision", "v1"),),
        licenses=licenses,
        notices=notices(),
        origins=origins(),
        details=(
            Detail(name="detail/origins.json", media_type="application/json", size=8012, sha256=sha256(b"origins")),
        ),
        does_not_show=("who copied from whom", "anything about weights"),
    )
