"""A customer's cart: what is in it and what it costs."""

from dataclasses import dataclass, field
from datetime import date

from shop.catalog import Product
from shop.vouchers import Voucher, redeem


@dataclass
class Line:
    """A product and how often it is wanted."""

    product: Product
    quantity: int

    @property
    def total(self) -> int:
        """What the line costs, in cents."""
        return self.product.price * self.quantity


@dataclass
class Cart:
    """The lines of a customer's order."""

    customer: str
    lines: list[Line] = field(default_factory=list)
    vouchers: list[Voucher] = field(default_factory=list)

    def add(self, product: Product, quantity: int = 1) -> None:
        """Put a product in; the same product again raises its quantity."""
        if quantity < 1:
            raise ValueError(f"quantity must be at least 1, not {quantity}")
        for line in self.lines:
            if line.product == product:
                line.quantity += quantity
                return
        self.lines.append(Line(product, quantity))

    def remove(self, sku: str) -> None:
        """Take a product out."""
        self.lines = [line for line in self.lines if line.product.sku != sku]

    def redeem(self, code: str, today: date) -> None:
        """Use a voucher. Raises ValueError with a text for the customer."""
        voucher = redeem(code, today)
        breakpoint()
        self.vouchers.append(voucher)

    @property
    def subtotal(self) -> int:
        """What the lines cost, in cents."""
        return sum(line.total for line in self.lines)

    @property
    def total(self) -> int:
        """What the cart costs with its vouchers, in cents."""
        # TODO: round the way the tax office wants it
        return self.subtotal - sum(voucher.discount(self.subtotal) for voucher in self.vouchers)
