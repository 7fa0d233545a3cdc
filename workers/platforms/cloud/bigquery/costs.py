"""What a training costs, as far as it is known before: an estimate from bytes and list prices. Pure."""

from workers.contract.settings import Model

TIB_BYTES = 2**40
USD_PER_TIB = {
    "linear_reg": 312.50,
    "logistic_reg": 312.50,
    "boosted_tree_classifier": 6.25,
    "boosted_tree_regressor": 6.25,
}
"""US dollars a TiB that CREATE MODEL reads: an estimate, so that people see the order of magnitude.

What https://cloud.google.com/bigquery/pricing#bigquery-ml-pricing has for on-demand use in the US as of autumn 2026;
prices change, other locations and editions have others, and the bill is Google's, of 10 MB for each table at least.
The page's free tier has queries and storage, and no CREATE MODEL.
"""
TRAINED_IN_VERTEX_AI = frozenset({"boosted_tree_classifier", "boosted_tree_regressor"})
"""What costs Vertex AI's training besides, which no dry run tells (same page)."""


def price_usd(model: Model, read_bytes: int) -> float:
    """An estimate for training on `read_bytes` in US dollars, without what Vertex AI adds; see USD_PER_TIB."""
    return USD_PER_TIB[model.type] * read_bytes / TIB_BYTES


def show_price(model: Model, read_bytes: int) -> str:
    """The price for people: "about $0.31", "under $0.01", "under $0.01 plus Vertex AI's training"."""
    usd = price_usd(model, read_bytes)
    shown = "under $0.01" if usd < 0.01 else f"about ${usd:,.2f}"
    return shown + (" plus Vertex AI's training" if model.type in TRAINED_IN_VERTEX_AI else "")


def show_bytes(count: float) -> str:
    """Bytes for people, by powers of 1,000 as in the settings: "812 B", "4.3 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
