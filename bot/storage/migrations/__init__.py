"""The ledger's schema, one step a file; `bot.ledger` applies them at start."""
