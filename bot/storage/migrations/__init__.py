"""The schema's migrations, one a file. `Database.migrate` applies them at start."""
