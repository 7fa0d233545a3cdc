"""Estimates of a training's cost, from bytes and list prices. Pure."""

from workers.contract.settings import Model

TIB_BYTES = 2**40
USD_PER_TIB = {
    "linear_reg": 312.50,
    "logistic_reg": 312.50,
    "boosted_tree_classifier": 6.25,
    "boosted_tree_regressor": 6.25,
}
"""US dollars for each TiB that CREATE MODEL reads: an estimate of the order of magnitude.

From https://cloud.google.com/bigquery/pricing#bigquery-ml-pricing, on-demand, US, autumn 2026. Prices change and differ
by location and edition. Google bills at least 10 MB for each table. The free tier excludes CREATE MODEL.
"""
TRAINED_IN_VERTEX_AI = frozenset({"boosted_tree_classifier", "boosted_tree_regressor"})
"""Types that also cost Vertex AI's training, which a dry run does not report (same page)."""


def price_usd(model: Model, read_bytes: int) -> float:
    """Return an estimate in US dollars for training on `read_bytes`, without Vertex AI's share; see USD_PER_TIB."""
    return USD_PER_TIB[model.type] * read_bytes / TIB_BYTES


def show_price(model: Model, read_bytes: int) -> str:
    """Return the price for people: "about $0.31", "under $0.01", "under $0.01 plus Vertex AI's training"."""
    usd = price_usd(model, read_bytes)
    shown = "under $0.01" if usd < 0.01 else f"about ${usd:,.2f}"
    return shown + (" plus Vertex AI's training" if model.type in TRAINED_IN_VERTEX_AI else "")


def show_bytes(count: float) -> str:
    """Return bytes for people, in powers of 1,000 as in the settings: "812 B", "4.3 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
