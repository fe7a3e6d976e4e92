"""A finding from claim to merge: anchor, match, lifecycle, triage, suggestions, muting."""
