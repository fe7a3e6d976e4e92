"""Runs jobs: durably on a database, or at once in this process."""
