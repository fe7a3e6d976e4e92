"""The requests of a whole review, counted by the sandbox GitHub: few, whatever the number of files."""

import pytest

from tests.support.product import FLAWED, RunningProduct

SOURCE = "def order_{0}(order):\n    total = order.amount * {0}\n    return total\n"
RULES = {f"docs/standards/rule_{number}.md": f"# Rule {number}\n\n## Part\n\nUse it.\n" for number in range(12)}


@pytest.fixture(scope="module")
def product():
    running = RunningProduct(assistant_write_spacing=0)
    yield running
    running.close()


def asked(product, repo, head):
    """What the product asks GitHub from the event on, with the pull request."""
    start = len(product.sandbox.requests)
    pull = product.open(head, repo=repo)
    product.settle()
    return pull, [f"{one.method} {one.path}" for one in product.sandbox.requests[start:]]


@pytest.mark.parametrize(
    ("files", "most"), [(2, 12), (28, 12), (392, 18), pytest.param(3_000, 18, marks=pytest.mark.long)]
)
def test_a_review_asks_github_a_few_times_whatever_its_size(product, files, most):
    grown = {f"shop/part_{number}.py": SOURCE.format(number) for number in range(0, files, 2)}
    repo = product.repository({"app.py": "x = 1\n"} | grown | RULES)
    _, first = asked(product, repo, {"first.py": FLAWED})
    assert len(first) <= 20, "\n".join(first)  # with two tokens, the App's name, the base's tree and the standards

    head = {path: text + "\n\n" + SOURCE.format(7) for path, text in grown.items()}
    head |= {f"shop/new_{number}.py": SOURCE.format(number) for number in range(files - len(grown) - 1)}
    pull, requests = asked(product, repo, head | {"shop/flawed.py": FLAWED})
    (run,) = pull.check_runs()
    assert len(requests) <= most, "\n".join(requests)
    assert f"| `check: ruff` | {files} files |" in run.text
    assert {comment.path for comment in pull.comments} == {"shop/flawed.py"}
