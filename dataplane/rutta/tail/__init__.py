"""The shared reader of growing files: which there are, who they are, how far they are read, and what is done."""
