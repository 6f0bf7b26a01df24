"""``ruttactl``: what people do with topologies, also as ``kubectl rutta``."""
