"""The one package that touches Ray; importing it, or its driver, does not load Ray yet."""
