"""A GitHub to play with: it enforces GitHub's own rules over a real git repository."""
