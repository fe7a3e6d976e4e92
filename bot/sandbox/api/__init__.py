"""The endpoints of the sandbox GitHub: REST, GraphQL, git, authentication."""
