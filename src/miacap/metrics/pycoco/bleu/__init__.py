"""pycocoevalcap's package of this name."""
