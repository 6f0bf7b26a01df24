"""What is known of the machine: its counters as gauges, and where the host is when this is a container."""
