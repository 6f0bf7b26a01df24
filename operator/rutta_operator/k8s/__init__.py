"""The API server: the only rooms that call it, who leads, what we may do, what its refusals mean."""
