"""From resources to a topology: references, consent, cycles, and what each resource needs. Pure."""
