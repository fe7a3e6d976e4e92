"""Where pull requests live: GitHub, or a range of commits on this machine."""
