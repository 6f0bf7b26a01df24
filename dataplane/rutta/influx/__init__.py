"""InfluxDB's line protocol: measurements, escaping, and what the server says of refused lines."""
