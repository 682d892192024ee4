"""From settings to a trained, tested model in a folder of its own."""
