"""A tiny checkpoint with its evidence, made from records: three files, two tensors, three detail files."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from signed import sign_statement

from attest.bundle import BUNDLE_NAME
from attest.digest import sha256, tree_digest
from attest.document import canonical, dump
from attest.evidence import (
    CHUNKS_NAME,
    EVIDENCE_TYPE,
    Architecture,
    CheckpointSummary,
    Chunk,
    ChunkList,
    Environment,
    Evidence,
    File,
    FileChunks,
    TensorSummary,
    Tool,
)
from attest.evidence_directory import describe_detail, write_evidence
from attest.signer import KeyType, PublicKey, open_signer, write_key_pair
from attest.statement import DigestSet, Statement, Subject
from attest.verify import Expectation

WEIGHTS = "sub/model.safetensors"
TENSORS = {"layer.0.weight": bytes(range(24)), "layer.1.weight": bytes(range(100, 140))}


@dataclass(frozen=True, kw_only=True)
class TinyEvidence:
    """A checkpoint, the evidence directory about it, and keys, in one folder."""

    root: Path

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def directory(self) -> Path:
        return self.root / "evidence"

    @property
    def bundle(self) -> Path:
        return self.directory / BUNDLE_NAME

    def key(self, key_type: KeyType = "p256") -> Path:
        """The private key of a kind, made once."""
        path = self.root / f"{key_type}.pem"
        if not path.exists():
            write_key_pair(path, key_type=key_type)
        return path

    def expectation(self, key_type: KeyType = "p256") -> Expectation:
        return Expectation(key=PublicKey.read(self.key(key_type).with_suffix(".pub.pem")))

    def measure(self, details: dict[str, bytes] | None = None) -> Evidence:
        """The predicate about the files that lie in the checkpoint's folder now."""
        folder = self.checkpoint
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        files = tuple(
            File(path=path, size=len(data), sha256=sha256(data), basis="computed", server_sha256=None)
            for path, data in sorted(found.items())
        )
        return Evidence(
            measured_at="2026-01-02T03:04:05Z",
            command=("attest", "measure", "tiny"),
            tool=Tool(name="attest", version="0", source_sha256=sha256(b"source")),
            environment=Environment(python="3.11", system="Linux", machine="x86_64", packages={}),
            assurance_level="self-attested",
            checkpoint=CheckpointSummary(
                name="tiny",
                source=None,
                format="safetensors",
                files=files,
                file_count=len(files),
                bytes=sum(file.size for file in files),
                tree_digest=tree_digest((file.path, file.size, file.sha256) for file in files),
                ignored=(),
                findings=(),
            ),
            architecture=Architecture(
                family=None,
                layers=2,
                d_model=None,
                d_ff=None,
                heads=None,
                kv_heads=None,
                d_head=None,
                positions="unknown",
            ),
            tensors=TensorSummary(
                count=2, parameters=64, dtypes={"U8": 2}, unmapped_count=0, unmapped=(), non_finite=0
            ),
            fingerprints=(),
            activations=None,
            licenses=None,
            details=tuple(
                describe_detail(name, "application/octet-stream", data)
                for name, data in sorted((self.details() if details is None else details).items())
            ),
            does_not_show=("anything",),
        )

    def details(self) -> dict[str, bytes]:
        """The detail files: chunk digests, some bytes, and an empty file."""
        files = (
            FileChunks(
                path=path.relative_to(self.checkpoint).as_posix(),
                chunks=_chunks(path.read_bytes(), has_tensors=path.suffix == ".safetensors"),
            )
            for path in sorted(self.checkpoint.rglob("*"))
            if path.is_file()
        )
        return {
            CHUNKS_NAME: canonical(dump(ChunkList(files=tuple(files)))),
            "detail/bytes.bin": bytes(range(32)),
            "detail/empty.json": b"",
        }

    def write(self, statement: Statement | None = None) -> None:
        """Write the evidence directory, unsigned; what stood there is gone."""
        write_evidence(self.directory, statement or state(self.measure()), self.details(), force=True)

    def sign(self, key_type: KeyType = "p256") -> None:
        """Sign the statement that lies in the directory, whatever it says."""
        payload = (self.directory / "statement.json").read_bytes()
        sign_payload(self, payload, key_type)


def sign_payload(tiny: TinyEvidence, payload: bytes, key_type: KeyType = "p256") -> None:
    """Sign any bytes as the evidence directory's statement."""
    statement = Statement(payload=payload, subjects=(), predicate_type="", predicate={})
    sign_statement(tiny.directory, statement, open_signer(str(tiny.key(key_type))), force=True)


def state(evidence: Evidence) -> Statement:
    """The statement about an evidence predicate."""
    checkpoint = evidence.checkpoint
    return Statement.build(
        subjects=(
            Subject(name=".", digest=DigestSet(sha256=checkpoint.tree_digest)),
            *(Subject(name=file.path, digest=DigestSet(sha256=file.sha256)) for file in checkpoint.files),
        ),
        predicate_type=EVIDENCE_TYPE,
        predicate=dump(evidence),
    )


def write_checkpoint(folder: Path) -> None:
    """Write two text files and a safetensors file of two tensors."""
    header, begin = {}, 0
    for name, data in TENSORS.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [begin, begin + len(data)]}
        begin += len(data)
    head = json.dumps(header).encode()
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_bytes(b'{"layers": 2}\n')
    (folder / "NOTICE.txt").write_bytes(b"Made for a test.\n")
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(head)) + head + b"".join(TENSORS.values()))


def _chunks(data: bytes, *, has_tensors: bool) -> tuple[Chunk, ...]:
    """Chunks of a file: one, or the header and one a tensor."""
    tensors = [(name, len(values)) for name, values in TENSORS.items()] if has_tensors else []
    spans = [(None, len(data) - sum(size for _, size in tensors)), *tensors]
    chunks, begin = [], 0
    for tensor, size in spans:
        chunks.append(Chunk(begin=begin, size=size, sha256=sha256(data[begin : begin + size]), tensor=tensor))
        begin += size
    return tuple(chunks)
