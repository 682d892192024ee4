"""Metrics per user and the audit against leakage."""
