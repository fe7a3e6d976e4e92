"""Chaos for minutes: what happened to the product, and whether anything was lost or said twice. See tests/support/chaos.py.

    python benchmarks/chaos.py [--seconds 300] [--database sqlite|postgres|both] [--seed N]

Exits with 1 if an invariant (tests/support/invariants.py) does not hold.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos import play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kinds = ["sqlite", "postgres"] if options.database == "both" else [options.database]
    failed = False
    for kind in kinds:
        print(f"{kind}, {options.seconds / len(kinds):.0f} s of chaos", flush=True)
        counts, broken = play(kind, options.seconds / len(kinds), options.seed)
        for name, count in sorted(counts.items()):
            print(f"  {name}: {count}")
        for violation in broken:
            print(f"  BROKEN {violation.invariant} {violation.where}: {violation.what}")
        print(f"  violations: {len(broken)}", flush=True)
        failed |= bool(broken)
    sys.exit(failed)


if __name__ == "__main__":
    main()
