"""The team's shelf of coding standards: a local index, or a hosted vector store."""
