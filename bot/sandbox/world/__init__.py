"""The state of the sandbox GitHub: repositories, people, conversations, webhooks, GitHub's rules."""
