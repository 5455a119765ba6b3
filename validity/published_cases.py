"""The report on what others published: known cases without weights, and the nearest peer."""

from __future__ import annotations

from collections import Counter

from validity.summary import ACCUSING
from validity.tables import Record, number, table

__all__ = ["known_cases", "nearest_peer"]


def known_cases(record: Record) -> str:
    """Published permutation data, and the lesson of the norm gains."""
    parts = ["## Known cases without weights"]
    if record["published_permutations"]:
        rows = [
            (
                one["pair"].replace(" vs ", " - "),
                number(one["published"]),
                number(one["one_sided"]),
                number(one["pvalue"]),
                number(one["z"], 4),
            )
            for one in record["published_permutations"]
        ]
        turned = sum(abs(one["published"] - one["one_sided"]) > 0.02 for one in record["published_permutations"])
        parts.append(
            "### Published permutation data (Zhu, Ahmed, Kuditipudi, Liang, 2025)\n\nL2 distances of Llama-7B pairs and of"
            " 100 relabelings of each, through our estimator.\n\n"
            + table(("pair", "published p", "our p, one-sided", "our p, two-sided", "z"), rows)
            + f"\n\nThe published column counts from the other end for {turned} pairs, which gives 1 - p; ours counts from"
            " the same end for all. It changes no conclusion."
        )
    rows = [
        (
            one["case"],
            number(one["raw_cosine"], 4),
            number(one["centered_correlation"]),
            number(one["z"]),
            number(one["pvalue"]),
        )
        for one in record["norm_lesson"]
    ]
    parts.append(
        "### The lesson of the norm gains\n\nIn the dispute about Solar-Open-100B a raw cosine of 0.95 and more was offered"
        " as proof. Synthetic gains of 46 layers of 4,096 show why it is none: all gains are positive.\n\n"
        + table(("pair", "raw cosine", "centered correlation", "z of the exact test", "p"), rows)
    )
    return "\n\n".join(parts)


def nearest_peer(record: Record) -> str:
    """What the nearest peer says of the same pairs."""
    if not record["peer"]:
        return "## Nearest peer\n\nNot run: no environment with provenancekit was given."
    ours = {tuple(one["label"]): one["rung"] for one in record["pairs"]}
    parts = []
    for kind, title in (("independent", "independent pairs, alike"), ("derived", "derived pairs of one parent")):
        answers = [one for one in record["peer"] if one["label"][0] == kind]
        heard = [one for one in answers if "error" not in one]
        identity = sorted(one["identity"] for one in heard if one["identity"] is not None)
        verdicts = Counter(one["decision"] for one in heard)
        weights = Counter(
            "above 0.75" if value > 0.75 else "0.65 to 0.75" if value >= 0.65 else "below 0.65" for value in identity
        )
        accused = sum(ours[tuple(one["label"])] in ACCUSING for one in answers)
        parts.append((
            title, len(answers), len(answers) - len(heard),
            ", ".join(f"{name} {n}" for name, n in verdicts.most_common()),
            ", ".join(f"{name} {n}" for name, n in weights.most_common()),
            f"{number(identity[0])} … {number(identity[-1])}" if identity else "-", f"{accused} accused",
        ))  # fmt: skip
    columns = ("pairs", "n", "errors", "its verdict", "its weights alone", "range", "attest")
    return (
        "## Nearest peer\n\nCisco's provenancekit 1.0.0, the released package itself, on the same checkpoints. Its verdict"
        " trusts the configuration first; *weights alone* is its identity score, for which it names 0.75 as high and 0.65 as"
        " weak.\n\n" + table(columns, parts)
    )
