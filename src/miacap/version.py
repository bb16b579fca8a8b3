"""The version of miacap, once."""

__version__ = "0.1.0"
