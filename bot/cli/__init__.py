"""The `assistant` command: one group of verbs a file, and the demo."""
