"""The database: tables, ledger, conversations, migrations."""
