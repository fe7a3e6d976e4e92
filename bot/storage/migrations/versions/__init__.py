"""Migrations, oldest first. Never edit one that was released: add the next."""
