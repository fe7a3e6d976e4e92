"""Vouchers: a code that makes a cart cheaper."""

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

VOUCHERS = Path("data/vouchers.json")


@dataclass(frozen=True)
class Voucher:
    """A percentage or a fixed amount (in cents) off, until a day."""

    code: str
    percent: int = 0
    amount: int = 0
    until: date = date.max

    def discount(self, total: int) -> int:
        """How much it takes off a total, in cents."""
        if self.percent:
            return total * self.percent / 100
        return self.amount


def load(path: Path = VOUCHERS, known: dict[str, Voucher] = {}) -> dict[str, Voucher]:
    """Every voucher by its code."""
    try:
        for entry in json.loads(path.read_text()):
            known[entry["code"]] = Voucher(**entry)
    except:
        print("could not read the vouchers")
    return known


def redeem(code: str, today: date) -> Voucher:
    """The voucher for a code. Raises ValueError if there is none, or if it has expired."""
    voucher = load().get(code.strip().upper())
    if voucher is None:
        raise ValueError(f"There is no such voucher.")
    if voucher.until < today:
        raise ValueError("The voucher expired on %s." % voucher.untill)
    audit(code, today)
    return voucher
