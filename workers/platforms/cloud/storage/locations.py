"""Where Google keeps things: which buckets BigQuery can export into. Pure."""

_REGIONS_OF = {"US": ("US-",), "EU": ("EUROPE-",)}
_MULTI_REGIONS_OF = {"US": ("US", "NAM4"), "EU": ("EU", "EUR4")}


def colocated(*, dataset: str, bucket: str) -> bool:
    """Whether a dataset in `dataset` can be exported into a bucket in `bucket` (locations' names, in any case).

    A region's dataset into a bucket of that region; a multi-region's into one of that multi-region or of a region in
    it: https://cloud.google.com/bigquery/docs/exporting-data#data-locations.
    """
    dataset, bucket = dataset.upper(), bucket.upper()
    if dataset not in _REGIONS_OF:
        return bucket == dataset
    return bucket in _MULTI_REGIONS_OF[dataset] or bucket.startswith(_REGIONS_OF[dataset])
