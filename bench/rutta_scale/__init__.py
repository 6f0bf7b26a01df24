"""What the operator costs with a thousand resources, on a real API server."""
