"""What is → ``.status`` of a resource, when to look again, and what an Event tells. Pure.

Fields: ``observedGeneration``, ``conditions``, ``replicas``, ``readyReplicas``, ``updatedReplicas``, ``selector``,
``endpoints[{listener, address, protocol}]``, ``upstreams{total, items[{kind, namespace, name}]}``,
``downstreams{total, connected, items[{kind, namespace, name, state}]}``, ``targets[{name, state, reason}]``.
"""

from rutta_operator.seen import Refusal, Report, Seen, Silence, TargetReport

__all__ = ["Refusal", "Report", "Seen", "Silence", "TargetReport"]
