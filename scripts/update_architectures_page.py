"""Write the table of families in docs/architectures.md from the tables themselves."""

from __future__ import annotations

from pathlib import Path

from attest.architecture import FAMILIES, Family
from attest.architecture.layout import FUSED

PAGE = Path(__file__).resolve().parent.parent / "docs" / "architectures.md"
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->\n"


def families_table() -> str:
    """One row a family: names, how matrices lie, what is fingerprinted, model types."""
    rows = ["| family | networks | matrices | fingerprints | model types |", "|---|---|---|---|---|"]
    for family in FAMILIES:
        types = ", ".join(f"`{name}`" for name in sorted(family.model_types, key=str.lower)) or "-"
        rows.append(f"| `{family.id}` | {family.title} | {_matrices(family)} | {_fingerprints(family)} | {types} |")
    return "\n".join(rows) + "\n"


def _matrices(family: Family) -> str:
    """What differs from one matrix a role, stored as outputs by inputs, and gains as they are."""
    roles = set(family.in_layer.values())
    said = [f"`{role}` {family.layouts.get(role, 'joined')}" for role in FUSED if role in roles]
    if family.transposed:
        said.append("inputs by outputs")
    if family.stacked_transposed:
        said.append(f"stacked {', '.join(f'`{role}`' for role in family.stacked_transposed)} inputs by outputs")
    if family.norm_offset:
        said.append("gains less one")
    return ", ".join(said) or "-"


def _fingerprints(family: Family) -> str:
    """What can be measured of a dense layer whose names are all of the family's."""
    roles = set(family.in_layer.values())
    parts = roles | {part for role, of in FUSED.items() if role in roles for part in of}
    said = []
    if parts & {"q", "k", "v", "o"}:
        said.append("attention")
    if {"up", "down"} <= parts:
        said.append("MLP")
    if parts & {"attention_norm", "mlp_norm", "output_norm", "attention_output_norm"}:
        said.append("norms")
    return ", ".join(said) or "-"


def page() -> str:
    """The page with the table as it must be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + families_table() + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
