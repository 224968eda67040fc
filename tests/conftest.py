"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("default", deadline=None, suppress_health_check=SLOW)
# In CI every run tries the same examples: a red run is the change's doing, and can be repeated.
settings.register_profile("ci", deadline=None, suppress_health_check=SLOW, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
