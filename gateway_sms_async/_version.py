"""The version. The package's metadata is built from it."""

__version__: str = "0.1.0"
