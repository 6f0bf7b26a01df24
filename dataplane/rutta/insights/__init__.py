"""Application Insights: events as its telemetry items, its connection strings, and its answers item by item."""
