"""What targets of Google Cloud share: who we are, in which project, and messages in protobuf's wire format."""
