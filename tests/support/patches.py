"""Patches to test with: made by difflib with git's marks, made by git, and mangled."""

import difflib
import os
import subprocess

from hypothesis import strategies as st

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "PATH": os.environ["PATH"],
}

# Few different words, so that lines repeat and quotes are ambiguous; the odd ends of lines that files really have.
WORDS = st.sampled_from(
    [
        "x = 1",
        "return x",
        "    return x",
        "}",
        "",
        "a  b",
        "-- sql",
        "++ i",
        "@@ x",
        "diff --git a/x b/x",
        "\f",
        "y\u2028z",
        "\\ no",
    ]
)
ENDINGS = st.sampled_from(["\n", "\n", "\n", "\r\n"])
LINES = st.lists(st.tuples(WORDS, ENDINGS).map("".join), max_size=30)
TEXTS = st.tuples(LINES, st.booleans()).map(lambda drawn: "".join(drawn[0])[: -1 if drawn[1] else None])


@st.composite
def changes(draw):
    """A text before and after a change: lines kept, dropped, replaced and added."""
    before = draw(TEXTS)
    after = []
    for line in lines_of(before):
        fate = draw(st.sampled_from(["keep", "keep", "keep", "keep", "drop", "change", "insert"]))
        new = draw(WORDS) + "\n"
        after += {"keep": [line], "drop": [], "change": [new], "insert": [new, line]}[fate]
    if not before:
        after = lines_of(draw(TEXTS))
    return before, "".join(after)


def lines_of(text):
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def unified(before, after, context=3):
    """The hunks between two texts, as git prints them; empty if they are equal."""
    old, new = lines_of(before), lines_of(after)
    out = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context):
        if all(tag == "equal" for tag, *_ in group):
            continue
        (_, a, _, c, _), (_, _, b, _, d) = group[0], group[-1]
        out.append(f"@@ -{a + (b > a)},{b - a} +{c + (d > c)},{d - c} @@\n")
        for tag, i, j, k, n in group:
            if tag == "equal":
                out += [marked(" ", line) for line in old[i:j]]
            else:
                out += [marked("-", line) for line in old[i:j]] + [marked("+", line) for line in new[k:n]]
    return "".join(out)


def marked(mark, line):
    return mark + (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")


class Repository:
    """A real git repository to take real diffs from."""

    def __init__(self, directory):
        self.directory = directory
        self.git("init", "--quiet")

    def git(self, *arguments):
        run = subprocess.run(["git", *arguments], cwd=self.directory, env=ENVIRONMENT, capture_output=True, check=True)
        return run.stdout

    def write(self, files):
        for path, content in files.items():
            file = self.directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def commit(self, message="change"):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
