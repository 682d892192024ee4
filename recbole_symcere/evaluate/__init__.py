"""Metrics of RecBole's evaluator per user, groups, popularity and significance."""
