"""PyTorch files of a few values, opened or refused, for the tests of what is read of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_files import (
    Name,
    archive,
    rebuilt,
    storage,
)

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.errors import AttestError

EIGHT = np.arange(8, dtype=np.float32)
F32 = storage("FloatStorage", "0", 8)
DATA = {"0": EIGHT.tobytes()}
SYSTEM = Name("posix", "system")


def opened(folder: Path, value: Any, storages: Mapping[str, bytes] = DATA, **others: bytes) -> Checkpoint:
    (folder / "model.pt").write_bytes(archive(value, storages, **others))
    return open_checkpoint(folder)


def refusal(folder: Path, value: Any, storages: Mapping[str, bytes] = DATA, **others: bytes) -> AttestError:
    with pytest.raises(AttestError) as caught:
        opened(folder, value, storages, **others)
    assert (caught.value.exit_code, caught.value.where) == (3, "model.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    return caught.value


def values(checkpoint: Checkpoint) -> dict[str, list[Any]]:
    return {one.name: checkpoint.read_bits(one).tolist() for one in checkpoint.tensors}


def findings(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(one.code, one.text) for one in checkpoint.findings]


ONE = rebuilt(F32, (8,))
