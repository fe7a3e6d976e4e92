"""The corpus of hostile inputs (tests/corpus/*.yaml). A long text is written as {before, repeat, times, after}."""

from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[1] / "corpus"


def corpus(name):
    """The entries of one file, with every long text written out."""
    return _written_out(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def names():
    """The files of the corpus."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def _written_out(value):
    if isinstance(value, dict):
        if "repeat" in value:
            return value.get("before", "") + value["repeat"] * value["times"] + value.get("after", "")
        return {key: _written_out(inner) for key, inner in value.items()}
    return [_written_out(inner) for inner in value] if isinstance(value, list) else value
