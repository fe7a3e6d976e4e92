"""The cart adds up."""

import pytest

from shop.cart import Cart
from shop.catalog import find


def test_the_same_product_twice_is_one_line():
    cart = Cart("ada")
    cart.add(find("tea-01"))
    cart.add(find("tea-01"), 2)
    assert [line.quantity for line in cart.lines] == [3]


def test_the_total_is_the_sum_of_the_lines():
    cart = Cart("ada")
    cart.add(find("tea-01"), 2)
    cart.add(find("pot-01"))
    assert cart.total == 2 * 790 + 3450


def test_a_quantity_is_at_least_one():
    with pytest.raises(ValueError, match="at least 1"):
        Cart("ada").add(find("cup-01"), 0)
