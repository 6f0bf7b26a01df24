"""What the target kafka is made of: the client's settings, its thread, records and the meaning of errors."""
