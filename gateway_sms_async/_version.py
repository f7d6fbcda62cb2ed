"""The version, which the package's metadata is built from. Everything may enter."""

__version__: str = "0.1.0"
