"""What the shop sells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """Something with a price, in cents."""

    sku: str
    name: str
    price: int


PRODUCTS = {
    product.sku: product
    for product in (
        Product("tea-01", "Green tea, 100 g", 790),
        Product("tea-02", "Earl Grey, 100 g", 690),
        Product("pot-01", "Teapot, 1 l", 3450),
        Product("cup-01", "Cup, 0.2 l", 1150),
    )
}


def find(sku: str) -> Product:
    """The product with that number. Raises KeyError."""
    return PRODUCTS[sku]
