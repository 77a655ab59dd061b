"""A guest book, project and application in one package."""
