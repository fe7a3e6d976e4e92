"""Talks to a model: API adapters, the conversation loop, budgets, prompts, and the tools that a model may call."""
