"""Pages for people: set-up, the dashboard, and the story of one review. They work without JavaScript."""
