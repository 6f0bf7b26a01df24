"""One event: its model, the schemas it comes in, and how it is written again."""
