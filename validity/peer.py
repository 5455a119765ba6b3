"""The nearest peer on the same pairs: Cisco's provenancekit 1.0.0, run in an environment of its own.

Usage: PYTHON_OF_ITS_ENVIRONMENT validity/peer.py PAIRS.json ANSWERS.json

``PAIRS.json`` is a list of objects with ``label``, ``a`` and ``b`` (folders). This script stands alone: it imports
neither attest nor the rest of the laboratory, so that the peer may live with other versions of everything.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from provenancekit.core.scanner import ModelProvenanceScanner
from provenancekit.exceptions import ProvenanceError
from provenancekit.services.cache import CacheService

TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256}
SIGNALS = ("eas", "nlf", "lep", "end", "wvc")


def staged(folder: str, root: Path) -> str:
    """A folder of links to a checkpoint's files, with the tokenizer's description that the peer asks for."""
    place = root / folder.strip("/").replace("/", "_")
    if not place.exists():
        place.mkdir()
        for file in Path(folder).iterdir():
            (place / file.name).symlink_to(file)
        (place / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
    return str(place)


def answer(scanner: ModelProvenanceScanner, pair: dict[str, Any], root: Path) -> dict[str, Any]:
    """The peer's signals, scores and verdict for one pair, or the error it ended with."""
    try:
        result = scanner.compare(staged(pair["a"], root), staged(pair["b"], root))
    except (ProvenanceError, OSError, ValueError, KeyError) as error:
        return {"label": pair["label"], "error": f"{type(error).__name__}: {error}"[:200]}
    return {
        "label": pair["label"],
        "tier": result.scores.mfi_tier,
        "pipeline": result.scores.pipeline_score,
        "identity": result.scores.identity_score,
        "decision": result.scores.provenance_decision,
        "verdict": result.interpretation.label,
        "signals": {name: getattr(result.signals, name) for name in SIGNALS},
    }


def main() -> None:
    """Ask the peer about every pair and write its answers."""
    pairs = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as scratch:
        scanner = ModelProvenanceScanner(cache=CacheService(Path(scratch, "cache")))
        answers = [answer(scanner, pair, Path(scratch)) for pair in pairs]
    Path(sys.argv[2]).write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
