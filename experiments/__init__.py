"""One question a module: ``python -m experiments.NAME --help``."""
