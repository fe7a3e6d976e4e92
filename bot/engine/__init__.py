"""What runs jobs: at once in this process, or durably on a database."""
