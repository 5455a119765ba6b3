"""What MLX 0.32.4 made of one matrix on a CPU (``mlx.core.quantize``), and the values it reads there.

``data/mlx.json`` holds words, scales and biases as little-endian bytes, in hexadecimal digits, and under ``values`` the SHA-256 of
what ``mlx.core.dequantize`` gives of them, with scales and biases widened to float32, as float32 bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "checkpoint" / "packed" / "data" / "mlx.json").read_text()
)

SHAPE = (2, 128)
BITS = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32}


def weight() -> NDArray[np.float32]:
    """The matrix."""
    numbers = np.arange(256, dtype=np.int64)
    return ((numbers * 7919 % 2039 - 1019 + numbers // 32) * 2.0**-14).astype(np.float32).reshape(SHAPE)


def array(text: str, dtype: Any) -> NDArray[Any]:
    """Rows of a matrix out of digits."""
    return np.frombuffer(bytes.fromhex(text), dtype).reshape(SHAPE[0], -1)
