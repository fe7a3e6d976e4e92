"""What a change to the settings would do once it is merged."""

from bot.core.comments.remarks import SHOWN, consequences
from bot.core.policy import PATH, Policy, PolicyLayer, merge_layers


def told(before, *layers):
    policy = merge_layers([PolicyLayer(name, text) for name, text in before]).policy
    return consequences(policy, merge_layers([PolicyLayer(name, text) for name, text in layers]))


def test_a_setting_is_told_with_what_it_is_and_what_it_would_be():
    assert told([(PATH, "comments: 5\n")], (PATH, "comments: 3\nstandards:\n  conventions: false\n")) == (
        "Settings once this is merged: `standards.conventions`: `true` → `false`; `comments`: `5` → `3`.",
    )


def test_a_file_that_is_removed_gives_way_to_the_organisations_values():
    below = ("organisation defaults", "comments: 7\n")

    assert told([below, (PATH, "comments: 3\n")], below) == ("Settings once this is merged: `comments`: `3` → `7`.",)


def test_words_without_an_effect_are_said_to_have_none():
    assert told([(PATH, "comments: 5\n")], (PATH, "# five\ncomments: 5\n")) == (
        "Settings once this is merged: no setting changes.",
    )


def test_mistakes_of_the_proposed_file_are_told_and_those_of_others_are_not():
    _, mistake = told([], ("organisation defaults", "nonsense: 1\n"), (PATH, "severty: error\n"))

    assert mistake == (
        "The proposed file has a mistake: "
        "`.github/assistant.yml:1:1: severty is not a setting; did you mean severity?`."
    )


def test_a_strangers_value_cannot_leave_its_code_span_or_go_on_for_ever():
    evil = "`</details>\u202e" + "x" * 180
    (line,) = consequences(Policy(), merge_layers([PolicyLayer(PATH, f"tone: '{evil}'\n")]))

    assert len(line) < 300
    assert "\u202e" not in line
    assert '`` "`</details>' in line


def test_a_list_of_settings_has_an_end():
    every = "comments: 1\nsuggestions: false\nseverity: error\nlabel: x\ntone: y\nignore: [a]\ngenerated: [b]\nlanguages: [go]\n"
    every += (
        "checks: []\npasses: []\nunmute: [z]\nsummary: 'off'\nminimum_permission: triage\ntriggers: {drafts: true}\n"
    )
    (line,) = told([], (PATH, every))

    assert line.count("→") == SHOWN
    assert line.endswith("and 2 more.")
