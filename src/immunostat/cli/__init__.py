"""The command line: a thin door that parses, calls the layers below and prints."""

from immunostat.cli.app import app, main

__all__ = ["app", "main"]
