"""Training of the built-in networks; it imports the package, never the reverse."""
