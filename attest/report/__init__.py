"""Bundles as one offline HTML page, and that page rendered again."""
