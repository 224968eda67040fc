"""Help for tests: of backends that others bring, see :mod:`tricorn.testing.backend_suite`."""
