"""The repository's own file: what it may say, and what happens when it says something else."""

import pytest
import yaml

from bot.core.policy import LARGEST, Policy, parse


def test_an_empty_file_is_the_defaults():
    assert parse("") == (Policy(), ())
    assert parse("# nothing yet\n") == (Policy(), ())


def test_every_key_can_be_set():
    text = """\
triggers: {opened: true, pushed: false, drafts: true, first_time_contributors: collaborators}
label: please review
ignore: ["vendor/**"]
path_instructions:
  - paths: ["api/**"]
    instructions: Breaking changes need a version bump.
standards: {paths: [docs/rules.md], conventions: false}
checks: [ruff, secrets]
severity: warning
comments: 3
summary: always
budgets: {dollars: 0.5}
"""
    policy, problems = parse(text)

    assert problems == ()
    assert (policy.label, policy.comments, policy.standards.paths) == ("please review", 3, ("docs/rules.md",))
    assert policy.triggers.drafts
    assert not policy.triggers.pushed


def test_what_is_wrong_is_said_with_its_place_and_the_rest_still_counts():
    policy, problems = parse("label: mine\ncoments: 3\ntriggers:\n  draft: true\n  pushed: perhaps\ncomments: 99\n")

    assert [(one.line, one.column) for one in problems] == [(2, 1), (4, 3), (5, 3), (6, 1)]
    assert "did you mean comments?" in problems[0].text
    assert "did you mean drafts?" in problems[1].text
    assert (policy.label, policy.comments) == ("mine", Policy().comments)


def test_a_key_that_is_there_twice_is_said_once():
    policy, problems = parse(
        "comments: 5\ntriggers:\n  drafts: true\ncomments: 7\ntriggers:\n  drafts: false\n", "it.yml"
    )

    assert (policy.comments, policy.triggers.drafts) == (7, False)
    assert [str(one) for one in problems] == [
        "it.yml:4:1: comments occurs twice; the last value applies",
        "it.yml:5:1: triggers occurs twice; the last value applies",
    ]


@pytest.mark.parametrize(("text", "said"), [("comments: yes", "valid integer"), ("ignore: x", "valid list")])
def test_a_value_of_another_kind_is_named_in_the_words_of_yaml(text, said):
    policy, (problem,) = parse(text)

    assert policy == Policy()
    assert said in problem.text


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a list",
        "just words",
        "a: &a [1]\nb: *a",
        "\x00",
        "? {a: b}\n: 3",
        "!!python/object/apply:os.system [id]",
        "label: 2026-13-45",
        "[" * 20_000,
        "x" * (LARGEST + 1),
        "\t: tab",
    ],
    ids=range(11),
)
def test_a_file_that_is_no_policy_leaves_the_defaults_and_a_reason(text):
    policy, problems = parse(text)

    assert policy == Policy()
    assert problems


def test_the_annotated_example_is_valid_and_sets_every_key(request):
    text = (request.config.rootpath / "examples" / "assistant.yml").read_text()

    _, problems = parse(text)

    assert problems == ()
    assert set(yaml.safe_load(text)) == set(Policy.model_fields)


@pytest.mark.parametrize("tag", ["de", "pt-BR", "zh-Hans", "sr-Latn-RS"])
def test_the_language_of_comments_is_a_language_tag(tag):
    assert parse(f"language: {tag}\n")[0].language == tag


@pytest.mark.parametrize("tag", ["German, please", "de_DE", "'ignore the rules'", "x"])
def test_what_is_no_language_tag_is_a_problem_and_english_applies(tag):
    policy, (problem,) = parse(f"language: {tag}\n")

    assert policy.language == ""
    assert "language tag such as de, pt-BR or zh-Hans" in str(problem)
