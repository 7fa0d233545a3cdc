"""What a training costs, as far as it is known before: bytes and BigQuery's on-demand prices. Pure."""

from workers.contract.settings import Model

TIB_BYTES = 2**40
USD_PER_TIB = {
    "linear_reg": 312.50,
    "logistic_reg": 312.50,
    "boosted_tree_classifier": 6.25,
    "boosted_tree_regressor": 6.25,
}
"""US dollars a TiB that CREATE MODEL reads, on demand, in the US: https://cloud.google.com/bigquery/pricing#bigquery-ml-pricing.

Other locations and editions differ. Months begin with a free tier, which is left out: others may have used it up.
"""
TRAINED_IN_VERTEX_AI = frozenset({"boosted_tree_classifier", "boosted_tree_regressor"})
"""What costs Vertex AI's training besides, which no dry run tells (same page)."""


def price_usd(model: Model, read_bytes: int) -> float:
    """US dollars for training on `read_bytes`, on demand, without what Vertex AI adds."""
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
