"""The use cases: route a job, check permissions, review, answer. Every line that touches the world is a step."""
