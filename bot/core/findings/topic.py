"""What a finding says, in a form that can be compared: the telling words of its claim, in any language.

The topic of an untyped claim is its category and a sketch of these words, for example "correctness~1f0a93c2": two
different errors on one line have two topics, and a claim in other words can still be recognised.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

ALIKE = 0.5
"""Share of the shorter claim's telling words from which a reworded claim is the same one."""
SAME = 0.6
"""Share of all telling words from which two claims of two sources about one place say the same."""
MOST = 16  # telling words of a topic
FEWEST = 2  # telling words from which a claim that repeats all of another one is the same
STEM = 4  # letters by which a word is recognised in all its forms
SHORTEST = 3  # letters of a telling word

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[^\W_]?[^\WA-Z_]+|[^\W_]")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SKETCH = re.compile(r"~((?:[0-9a-f]{4})+)$")
_WORDS_OF_GRAMMAR = """
    a an and any are aren as at be because been before being but by can cannot could did do does doesn don each for from
    had has have here how if in into is isn it its just may might more must no not of off on only or other out over per
    shall should so some such than that the their them then there these they this those through to too under until up
    was were what when where which while who whose why will with without would you your
    bug code consider defect error errors find happens issue line lines mistake problem review reviewer wrong
    aber als am an auch auf aus bei bis das dass dem den der des die dies diese dieser durch ein eine einem einen einer
    es für hat ist kann kein keine mit nach nicht noch nur oder ohne sein sich sie sind und vom von vor war wenn wie wird
    zu zum zur fehler zeile
    au aux avec ce ces cette dans de des du elle en est et il ils la le les leur mais ne ou par pas peut plus pour que
    qui sa sans se ses son sont sur un une erreur ligne
    al como con cuando de del el ella en es esta este la las lo los más no nos o para pero por puede que se si sin son su
    sus un una uno y ya
    ao as com da das do dos e ela ele em entre essa esse isso mas na nas não nem no nos o os ou pela pelo por quando se
    sem ser sua são um uma
    che chi con da dal dei del della di e gli ha il in la le lo ma nel nella non per più può se si sono su un una
    aan bij dan dat de die door een en er het hij ik is kan met naar niet of om ook op te tot uit van voor wordt ze zijn
    а без бы в во для до его если и из или к как когда на не но о он она они от по при с со так то у что это
"""  # noqa: RUF001 - Cyrillic letters are meant
_STOP = frozenset(_WORDS_OF_GRAMMAR.split())
"""Words that say nothing about a claim, in the languages that reviews are mostly written in, and words of every review."""


def telling_words(text: str) -> frozenset[str]:
    """Returns the stems of the words that carry what `text` says.

    A name is the words it is made of; where a script has no spaces, each pair of letters is a word.
    """
    found: set[str] = set()
    for run in map(str.casefold, _PARTS.findall(unicodedata.normalize("NFKC", text))):
        if _UNSPACED.search(run):
            found.update(run[at : at + 2] for at in range(len(run) - 1))
        elif run not in _STOP and (len(run) >= SHORTEST or any(char.isdigit() for char in run)):
            found.add(_stem(run))
    return frozenset(found)


def _stem(word: str) -> str:
    """Returns the beginning of a plain word, so that its forms are one word."""
    return word[:STEM] if word.isalpha() else word


def same_claim(mine: str, theirs: str) -> bool:
    """Whether two texts make the same claim: most of their telling words are the same, or one repeats all of the other."""
    one, other = telling_words(mine), telling_words(theirs)
    if min(len(one), len(other)) < FEWEST:
        return one == other and (bool(one) or mine == theirs)
    return one <= other or other <= one or len(one & other) >= SAME * len(one | other)


def untyped_topic(category: str, title: str) -> str:
    """Returns the topic of a claim without a rule or a type."""
    words = sorted(_hash(word) for word in telling_words(title))[:MOST]
    return f"{category}~{''.join(words)}" if words else category


def kind_of(topic: str) -> str:
    """Returns a topic without its sketch: a rule, a typed claim, or a category."""
    return _SKETCH.sub("", topic)


def reworded(before: str, after: str) -> bool | None:
    """Whether two topics are one claim in other words; None if one of them has no sketch."""
    mine, theirs = _sketch(before), _sketch(after)
    if not mine or not theirs:
        return None
    fewest = min(len(mine), len(theirs))
    return len(mine & theirs) >= min(fewest, max(FEWEST, ALIKE * fewest))


def _sketch(topic: str) -> frozenset[str]:
    found = _SKETCH.search(topic)
    return frozenset(found[1][at : at + 4] for at in range(0, len(found[1]), 4)) if found else frozenset()


def _hash(word: str) -> str:
    return hashlib.sha256(word.encode(errors="replace")).hexdigest()[:4]
