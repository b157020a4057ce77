"""cleanplate removes named objects from photos."""

__version__ = "0.1.0"
