"""``predictions/v1``: the eight tokens that a causal language model holds most likely at each place, and how likely.

The logarithms of the probabilities are natural. A token is named by its text, so that another order of the vocabulary
changes nothing: the first eight bytes of the SHA-256 of how the tokenizer spells it, or its id where there is none. It
does not show where weights come from: networks that know one language agree on much of what comes next.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import ActivationFingerprint, Arrays, Observed, Plan, Seen
from attest.activation.places import table_of_places

__all__ = ["MOST_LIKELY", "PREDICTIONS"]

MOST_LIKELY = 8
_CANDIDATES = 64


class _Predictions:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ids: list[NDArray[np.int64]] = []
        self._logarithms: list[NDArray[np.float64]] = []

    def watch(self, seen: Seen) -> None:
        tokens = list(self._plan.places[seen.sequence].tokens)
        for row in seen.values[tokens].astype(np.float64):
            largest = float(row.max())
            few = np.argpartition(row, -min(_CANDIDATES, row.size))[-_CANDIDATES:]
            best = few[np.lexsort((few, -row[few]))][:MOST_LIKELY]
            self._ids.append(best.astype(np.int64))
            self._logarithms.append(row[best] - largest - np.log(np.exp(row - largest).sum()))

    def held(self) -> Arrays:
        return {"ids": np.array(self._ids), "logarithms": np.array(self._logarithms)} if self._ids else {}

    def take_up(self, held: Arrays) -> None:
        self._ids, self._logarithms = (list(held.get(name, ())) for name in ("ids", "logarithms"))

    def result(self) -> Observed:
        if not self._ids:
            return Observed(arrays={}, not_measured="the network, as it was run, predicts no next token")
        if min(map(len, self._ids)) < MOST_LIKELY:
            return Observed(arrays={}, not_measured=f"the vocabulary has fewer than {MOST_LIKELY} tokens")
        ids = np.array(self._ids)
        return Observed(
            arrays={
                "positions": table_of_places(self._plan.places),
                "log_probability": np.array(self._logarithms).astype(np.float32),
                **self._names(ids),
            }
        )

    def _names(self, ids: NDArray[np.int64]) -> dict[str, NDArray[np.int64] | NDArray[np.uint64]]:
        name = self._plan.token_name
        if name is None:
            return {"token_ids": ids}
        digests = {
            one: int.from_bytes(hashlib.sha256(name(one).encode(errors="surrogatepass")).digest()[:8], "little")
            for one in np.unique(ids).tolist()
        }
        named = [[digests[one] for one in row] for row in ids.tolist()]
        return {"token_digests": np.array(named, dtype=np.uint64)}


PREDICTIONS = ActivationFingerprint(id="predictions/v1", kinds=frozenset({"logits"}), observe=_Predictions)
