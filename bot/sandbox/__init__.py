"""A GitHub to play with: its REST API and pages over real git repositories, with its own rules enforced."""
