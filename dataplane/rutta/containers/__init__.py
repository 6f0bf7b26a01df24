"""Logs of containers as Kubernetes keeps them: their places, their form (CRI), whose they are."""
