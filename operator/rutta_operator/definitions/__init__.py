"""CustomResourceDefinitions, made from ``spec`` and the data plane's schema."""
