"""The rows of the table of options, a module for each group; :mod:`tricorn.options` puts them together."""
