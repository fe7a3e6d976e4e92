"""The model's own server searches the team's documents: what it finds is cited by our sections, or not at all."""

import pytest

from tests.support.model_turns import says
from tests.support.product_with_hosted_index import ProductWithHostedIndex, details, reviewed
from tests.support.product_with_model import Request
from tests.support.scripted_model import finding


class Searcher:
    """A model whose server searches the store by itself; it claims what `quote` says, without an id of ours."""

    def __init__(self):
        self.product, self.tools, self.extra = None, [], ()
        self.quote = "Never catch with a bare `except:`; name the exception class."

    def __call__(self, body):
        if Request(body).purpose == "verify":
            looked = {"evidence": ["app.py:4 except:"], "reason": "it stands there", "verdict": "holds"}
            return says({"verdicts": [{"finding": 1, **looked}]})
        self.tools = [tool for tool in body["tools"] if tool["type"] == "file_search"]
        (tool,) = self.tools
        store = self.product.store
        held = store.stores[tool["vector_store_ids"][0]].files.values()
        texts = [(one, store.files[one.file]) for one in held if one.attributes["digest"] in tool["filters"]["value"]]
        results = [
            {"file_id": file.id, "filename": file.name, "score": 0.9, "text": file.text, "attributes": one.attributes}
            for one, file in texts
        ]
        results += [one | {"attributes": results[0]["attributes"]} for one in self.extra]
        search = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["bare except"]}
        claim = {
            "path": "app.py",
            "quoted_code": "    except:",
            "near": 4,
            "evidence": ["app.py:4 except:"],
            "category": "standards",
            "standard_refs": ["python.md"],
            "standard_quote": self.quote,
            "title": "It catches everything",
        }
        return says({"walkthrough": "Pays.", "findings": [finding(**claim)]}, items=(search | {"results": results},))


@pytest.fixture(scope="module")
def searching():
    searcher = Searcher()
    product = ProductWithHostedIndex(searcher, assistant_passes="standards", assistant_checks="hygiene")
    product.searcher, searcher.product = searcher, product
    yield product
    product.close()


def test_what_the_models_own_server_finds_is_cited_by_our_sections(searching):
    pull = reviewed(searching)

    (comment,) = pull.comments
    assert searching.model.rejected == []
    assert "It catches everything" in comment.body
    assert "> > Never catch with a bare `except:`; name the exception class." in comment.body
    assert f"/blob/{pull.state.base_sha}/docs/standards/python.md?plain=1#L5-L5" in comment.body


def test_what_cannot_be_traced_to_a_section_is_not_cited(searching):
    invented = "Exceptions are forbidden in all code of ours."
    searching.searcher.quote = invented
    searching.searcher.extra = ({"file_id": "file-0", "filename": "x.md", "score": 1.0, "text": invented},)
    pull = reviewed(searching)

    assert pull.comments == []
    assert "no standard that was retrieved contains the rule it quotes" in details(pull)


def test_the_models_own_server_searches_the_documents_of_this_shelf_alone(searching):
    reviewed(searching)

    (tool,) = searching.searcher.tools
    (store,) = tool["vector_store_ids"]
    wanted = {one.attributes["digest"] for one in searching.store.stores[store].files.values()}
    assert (tool["filters"]["type"], tool["filters"]["key"]) == ("in", "digest")
    assert set(tool["filters"]["value"]) == wanted
