"""What targets of Google Cloud share: who we are, and in which project."""
