"""Every condition and every reason that a status or an Event can have, with cause and remedy: a closed list.

``docs/conditions.md`` is compared with it by a test; a reason that is used and not listed here fails one, too.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Condition = Literal["Accepted", "ResolvedRefs", "Ready", "Reconciling", "Stalled", "TargetsHealthy"]
CONDITIONS: Final[Mapping[Condition, str]] = {
    "Accepted": "the resource is valid, and the API server and the data plane take what is made of it",
    "ResolvedRefs": "every reference of `spec.to` is wired",
    "Ready": "it is as its spec says: accepted, wired, rolled out, and enough pods are available",
    "Reconciling": "it is not Ready yet, and the operator or Kubernetes is at work on it; absent when not",
    "Stalled": "it is not Ready, and will not be before somebody changes something; absent when not",
    "TargetsHealthy": "targets and links take events; it does not feed Ready",
}


class Reason(NamedTuple):
    """What a reason says."""

    conditions: tuple[Condition, ...]
    """where it stands first; Ready, Reconciling and Stalled repeat the reason of what keeps a resource from Ready"""
    is_warning: bool
    """the type of its Events: Warning, else Normal"""
    cause: str
    remedy: str


Word = Literal[
    "Valid", "Invalid", "NotSupported", "InvalidPodTemplate", "ChildRefused", "NameTaken", "ConfigRefused",
    "Resolved", "CycleDetected", "RefNotPermitted", "TransportMismatch", "HopLimit", "TargetNotFound",
    "Available", "ScaledToZero", "NoNodes", "ApplyFailed", "RolloutInProgress", "WorkloadChanging",
    "MinimumReplicasUnavailable", "PodsRefused", "ProgressDeadlineExceeded",
    "Healthy", "TargetFailing", "NotConnected", "TargetRejecting", "NothingSent", "NoReport",
]  # fmt: skip

REASONS: Final[Mapping[Word, Reason]] = {
    "Valid": Reason(("Accepted",), False, "Nothing is wrong with the resource.", "Nothing."),
    "Invalid": Reason(
        ("Accepted", "ResolvedRefs"),
        True,
        "The spec breaks a rule that the API server did not check. The message has every problem with its path. What"
        " ran before goes on unchanged.",
        "Correct the paths that the message names. `ruttactl check -f FILE` says the same before anything is applied.",
    ),
    "NotSupported": Reason(
        ("Accepted",),
        True,
        "This installation cannot do it: an operator that watches single namespaces may not read the labels of"
        " namespaces, so `allowedFrom` with `from: Selector` cannot be decided.",
        "Use `from: Same` or `from: All`, or install the operator for the whole cluster.",
    ),
    "InvalidPodTemplate": Reason(
        ("Accepted",),
        True,
        "The API server refused the Deployment or DaemonSet with `spec.podTemplate` laid over it. Running pods stay.",
        "Correct the field that the message names; `kubectl explain pod.spec` knows them all.",
    ),
    "ChildRefused": Reason(
        ("Accepted",),
        True,
        "The API server refused an object of the resource: an admission policy, a quota, a port that is taken.",
        "The message names the object and has the API server's words; change the spec or the policy.",
    ),
    "NameTaken": Reason(
        ("Accepted",),
        True,
        "An object with the name that a child needs is there already, and belongs to somebody else. It is not touched.",
        "Rename the resource, or delete the object that the message names.",
    ),
    "ConfigRefused": Reason(
        ("Accepted",),
        True,
        "A running pod refused its new configuration at the reload and goes on with the old one. After 2 minutes"
        " it is Stalled; the message has the pod's words.",
        "Correct the spec. If it is fine by `ruttactl check`, the image in `spec.image` is older than the operator.",
    ),
    "Resolved": Reason(("ResolvedRefs",), False, "Every reference is wired, or there is none.", "Nothing."),
    "CycleDetected": Reason(
        ("ResolvedRefs",),
        True,
        "Events would run in a circle, which the message shows. No edge of it is wired anew; what was wired stays.",
        "Take one of its references out of `spec.to`.",
    ),
    "RefNotPermitted": Reason(
        ("ResolvedRefs",),
        True,
        "The owner of the referenced resource does not admit the sender. The link is cut at once.",
        "Its owner adds kind and namespace to `spec.allowedFrom` there; or take the reference out.",
    ),
    "TransportMismatch": Reason(
        ("ResolvedRefs",),
        True,
        "Pattern and delivery of the two do not go together: AtLeastOnce with Broadcast, or an AtLeastOnce proxy in"
        " front of what is AtMostOnce.",
        "Give both the same `spec.link.delivery`, and use pattern Balance for AtLeastOnce.",
    ),
    "HopLimit": Reason(
        ("ResolvedRefs",), True, "Events would pass more than 8 proxies.", "Refer to something nearer to the router."
    ),
    "TargetNotFound": Reason(
        ("ResolvedRefs",),
        True,
        "What a reference names does not exist. The last wiring, if there was one, stays. After 10 minutes it is"
        " Stalled.",
        "Create it (it is wired at once), or correct kind, name or namespace of the reference.",
    ),
    "Available": Reason(("Ready",), False, "Rolled out, and enough pods are available.", "Nothing."),
    "ScaledToZero": Reason(
        ("Ready",), False, "It is asked to have no pods.", "Set `spec.replicas` when there should be some."
    ),
    "NoNodes": Reason(
        ("Ready",),
        False,
        "No node is fit for the DaemonSet, so it has no pods.",
        "Nothing, if that is meant; else correct `spec.nodeSelector`, `spec.tolerations` or the affinity in"
        " `spec.podTemplate`.",
    ),
    "ApplyFailed": Reason(
        ("Ready",),
        True,
        "The API server did not answer or had an error of its own, so not all is applied.",
        "Nothing: it is tried again. If it lasts, look at the API server, and at the operator's log.",
    ),
    "RolloutInProgress": Reason(
        ("Ready",),
        False,
        "Pods are being made or replaced.",
        "Wait. If it lasts, run the command that the message ends with.",
    ),
    "WorkloadChanging": Reason(
        ("Ready",),
        False,
        "`spec.workload` changed: the old pods are drained when the new ones are ready.",
        "Wait. If it lasts, look at the new pods.",
    ),
    "MinimumReplicasUnavailable": Reason(
        ("Ready",),
        True,
        "More pods are away than `spec.podDisruptionBudget.maxUnavailable`, or all of them: they crash, cannot be"
        " scheduled, or their node is gone. With autoscaling, of `minReplicas`. After 10 minutes it is Stalled.",
        "Run the command that the message ends with: it shows why. On large clusters raise maxUnavailable.",
    ),
    "PodsRefused": Reason(
        ("Ready",),
        True,
        "Kubernetes does not let the pods be made: Pod Security, a quota, a missing PriorityClass.",
        "The message has Kubernetes' words: mend the namespace's policy or quota, or the spec.",
    ),
    "ProgressDeadlineExceeded": Reason(
        ("Ready",),
        True,
        "The rollout does not get on: the image cannot be pulled, a Secret is missing, pods crash or cannot be"
        " scheduled.",
        "Run the command that the message ends with. It goes on by itself once the cause is mended.",
    ),
    "Healthy": Reason(("TargetsHealthy",), False, "No target and no link is failing.", "Nothing."),
    "TargetFailing": Reason(
        ("TargetsHealthy",),
        True,
        "A target cannot be reached, or refuses our credentials. Its events are held and tried again.",
        "The message has target and cause. Mend the target or the Secret: passwords are read anew for each try.",
    ),
    "NotConnected": Reason(
        ("TargetsHealthy",),
        True,
        "A link has no receiver. Its events are held.",
        "See whether the referenced resource is Ready, and whether a NetworkPolicy is in the way.",
    ),
    "TargetRejecting": Reason(
        ("TargetsHealthy",),
        True,
        "A target answers, and refuses all that it is sent. Those events are dropped, and counted.",
        "The message has the target's words: its settings do not fit, or it does not want such events.",
    ),
    "NothingSent": Reason(
        ("TargetsHealthy",), False, "No event was sent to any target yet, so nothing is known.", "Send an event."
    ),
    "NoReport": Reason(
        ("TargetsHealthy",),
        False,
        "No pod was asked yet, none answers at its health port, or there are none.",
        "See whether pods run, and whether a NetworkPolicy keeps the operator from port 9114.",
    ),
}  # fmt: skip
