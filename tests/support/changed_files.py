"""The files of two commits, with every kind of change and content that hosts must read alike."""

BEFORE = {
    "kept.py": "".join(f"{n}\n" for n in range(40)),
    "gone.py": "old\n",
    "moved.py": "".join(f"line {n}\n" for n in range(40)),
    "logo.png": b"\x89PNG\0old",
    "docs/standards/style.md": "# Style\n",
    "crlf.txt": "a\r\nb\r\n",
    "nonewline.txt": "a\nb",
}
AFTER = BEFORE | {
    "kept.py": BEFORE["kept.py"].replace("7\n", "seven\n").replace("30\n", ""),
    "gone.py": None,
    "moved.py": None,
    "there.py": BEFORE["moved.py"].replace("line 5\n", "line five\n"),
    "logo.png": b"\x89PNG\0new",
    "crlf.txt": "a\r\nc\r\n",
    "nonewline.txt": "a\nb\nc",
    'od"d/näme\t.py': "x\n",
    "latin.txt": b"caf\xe9\n",
    "empty.py": "",
    "large.txt": "".join(f"row {n}\n" for n in range(4000)),
}
