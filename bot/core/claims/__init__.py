"""The model's side of a review: what it is shown, the schemas it answers in, and the checks on what it says."""
