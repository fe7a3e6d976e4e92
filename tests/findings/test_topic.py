"""What two claims have in common: the same in other words, and different in the same words."""

import pytest

from bot.core.findings.topic import kind_of, reworded, same_claim, telling_words, untyped_topic

SAME = [
    ("Division by zero when the cart is empty", "An empty cart causes a division by zero"),
    ("An admin may refund more than was paid", "Admins may refund more than they paid"),
    ("Der Betrag der Erstattung ist negativ", "Die Erstattung hat einen negativen Betrag"),
    ("ユーザー名が検証されていない", "ユーザー名が検証されない"),
]
OTHER = [
    (
        "The amount of the refund is not checked for admins",
        "The owner of the order is not checked for a closed account",
    ),
    ("The amount of the refund is not validated", "The currency of the refund is not validated"),
    ("An admin may refund more than was paid", "A negative amount charges the customer"),
    ("Der Betrag wird nicht geprüft", "Der Besitzer wird nicht geprüft"),
    ("Le montant n'est pas vérifié", "Le propriétaire n'est pas vérifié"),
    ("Сумма не проверяется", "Владелец не проверяется"),
    ("金額が検証されていない", "所有者の権限を確認しない"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_claim_in_other_words_is_the_same(one, other):
    assert same_claim(one, other)
    assert reworded(untyped_topic("correctness", one), untyped_topic("correctness", other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_claims_that_share_common_words_are_two(one, other):
    assert not same_claim(one, other)
    assert untyped_topic("correctness", one) != untyped_topic("correctness", other)


def test_a_name_is_the_words_it_is_made_of():
    assert telling_words("getUserName") == telling_words("get_user_name")


@pytest.mark.parametrize("topic", ["B006", "correctness", "unused: rate", "docs/py.md#errors"])
def test_a_topic_without_a_sketch_is_its_kind(topic):
    assert kind_of(topic) == topic
    assert reworded(topic, untyped_topic("correctness", "It divides by zero")) is None


def test_a_topic_names_its_category():
    assert kind_of(untyped_topic("security", "The name reaches the query")) == "security"
    assert untyped_topic("security", "") == "security"
