"""What hypercorn's command has no option for: as many requests on a connection as the other servers allow."""

keep_alive_max_requests = 1_000_000_000
