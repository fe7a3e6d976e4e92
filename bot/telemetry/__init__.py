"""Metrics for Prometheus and traces for OpenTelemetry. The use cases do not know them; `bot/app.py` puts them around."""
