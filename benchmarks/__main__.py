"""`python -m benchmarks [NAME…]`: run all benchmarks, or the named ones, and print a table for each."""

import sys
from collections.abc import Callable, Mapping

from benchmarks import (
    accept,
    endpoint,
    load_cost,
    load_faults,
    load_herds,
    load_rate,
    load_replicas,
    load_stall,
    pickup,
    tour,
    warehouse,
)
from bot.demo.processes import DidNotStart

BENCHMARKS: Mapping[str, Callable[[], None]] = {
    "accept": accept.run,
    "pickup": pickup.run,
    "endpoint": endpoint.run,
    "tour": tour.run,
    "rate": load_rate.run,
    "stall": load_stall.run,
    "herds": load_herds.run,
    "cost": load_cost.run,
    "faults": load_faults.run,
    "replicas": load_replicas.run,
    "warehouse": warehouse.run,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all. Return 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"Unknown benchmark {unknown[0]}. Choose from {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        try:
            BENCHMARKS[name]()
        except (DidNotStart, OSError) as error:  # TimeoutError, too
            print(f"\n{name} could not be measured: {error}\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
