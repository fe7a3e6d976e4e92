"""What changed and the code around it: diff, plan, languages, syntax, hidden characters, secrets."""
