"""Links between our own tiers: blocks with credit, acknowledgement and leave (docs/protocol.md)."""
