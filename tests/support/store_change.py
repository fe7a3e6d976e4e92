"""A small change with every kind of file: changed, binary and renamed."""

from bot.core.code.diff import Diff, FileDiff, Status, parse_patch

PATCH = """\
@@ -1,6 +1,8 @@ class Store:
 import os

 def load(path):
-    return open(path).read()
+    file = open(path)
+    text = file.read()
+    return text

 def save(path):
@@ -20,5 +22,6 @@ def save(path):
     a = 1
-    b = 2
-    c = 3
+    b = 20
+    return text
+    c = 30
     d = 4
     e = 5
"""
FILE = parse_patch("src/store.py", Status.MODIFIED, PATCH)
DIFF = Diff(
    (
        FILE,
        FileDiff("logo.png", Status.ADDED, unread="binary", binary=True),
        FileDiff("b.py", Status.RENAMED, previous_path="a.py"),
    )
)
