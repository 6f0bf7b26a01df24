"""Files that grow, rotate and are synced, off the event loop."""
