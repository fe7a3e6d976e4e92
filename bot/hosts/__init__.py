"""Where pull requests live: a local git range, or GitHub."""
