"""pytest fixtures: loaded by pytest wherever postbearer is installed."""
