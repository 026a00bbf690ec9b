"""Stands in for the package azure-core."""


class AzureError(Exception):
    """What all of its errors derive from."""
