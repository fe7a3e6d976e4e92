"""A customer's cart: what is in it and what it costs."""

from dataclasses import dataclass, field

from shop.catalog import Product


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

    @property
    def total(self) -> int:
        """What the cart costs, in cents."""
        return sum(line.total for line in self.lines)
