"""What a fake API server keeps: objects with versions, who said which field of them, and a history for watches."""

import copy
import itertools
import json
import uuid

LISTS = {  # lists that are merged by a key of their items, where the operator makes such
    "containers": ("name",), "volumes": ("name",), "env": ("name",), "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port", "protocol"), "imagePullSecrets": ("name",), "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"), "conditions": ("type",),
    "endpoints": ("listener",), "targets": ("name",),
}  # fmt: skip


ATOMIC = {"selector", "podSelector", "namespaceSelector", "labelSelector", "nodeSelector"}  # maps that are one thing


def leaves(value, path=()):
    """Return the paths of all that a value says; a list without a key is one thing, and so is what is empty."""
    if isinstance(value, dict) and value and not (path and path[-1] in ATOMIC):
        return {leaf for key, one in value.items() for leaf in leaves(one, (*path, key))}
    keys = LISTS.get(path[-1]) if path and isinstance(path[-1], str) else None
    if keys and isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return {leaf for one in value for leaf in leaves(one, (*path, identity(one, keys)))}
    return {path}


def identity(item, keys):
    return ("item", *(item.get(key, "TCP" if key == "protocol" else None) for key in keys))


def steps(value, path):
    """Yield container and key along a path, as far as it goes."""
    keys = ()
    for step in path:
        if isinstance(value, list):
            found = next((i for i, one in enumerate(value) if identity(one, keys) == step), None)
            if found is None:
                return
            step = found
        elif not isinstance(value, dict) or step not in value:
            return
        yield value, step
        keys = LISTS.get(step, ()) if isinstance(step, str) else ()
        value = value[step]


def remove(value, path):
    """Remove what is at a path, and what is empty around it."""
    walked = list(steps(value, path))
    if len(walked) < len(path):
        return
    for container, key in reversed(walked):
        if container[key] in ({}, []) or (container, key) == walked[-1]:
            del container[key]
        else:
            return


def merge(live, said, path=()):
    """Lay what was said over what is."""
    for key, value in said.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict) and key not in ATOMIC:
            merge(live[key], value, (*path, key))
        elif key in LISTS and isinstance(value, list) and isinstance(live.get(key), list):
            merge_list(live[key], value, LISTS[key])
        else:
            live[key] = copy.deepcopy(value)


def merge_list(live, said, keys):
    there = {identity(one, keys): one for one in live}
    for one in said:
        if identity(one, keys) in there:
            merge(there[identity(one, keys)], one)
        else:
            live.append(copy.deepcopy(one))


class Conflict(Exception):
    """409."""

    status = 409


class Invalid(Exception):
    """422."""

    status = 422


def check(place, found):
    """Refuse a Service of which two ports have one name, or one number and protocol."""
    ports = found["spec"].get("ports", []) if place[0] == "services" else []
    for said in ([one.get("name") for one in ports], [identity(one, ("port", "protocol")) for one in ports]):
        if len(set(said)) < len(said):
            raise Invalid(f"spec.ports: Duplicate value: {said}")


class Objects:
    """All objects; every change is a version and an entry of the history."""

    def __init__(self):
        self.live = {}  # (plural, namespace, name) → object
        self.owners = {}  # the same → manager → paths
        self.history = []  # (version, type, plural, object, the object before)
        self.oldest = 0  # versions up to this one are compacted
        self.numbers = itertools.count(2)
        self.version = 0
        self.rolls = True  # whether workloads are rolled out as soon as they change

    def put(self, place, found, before=None):
        """Give an object a version and remember the change. Raises Invalid."""
        check(place, found)
        self.version = next(self.numbers)
        found["metadata"]["resourceVersion"] = str(self.version)
        self.live[place] = found
        kind = "ADDED" if before is None else "MODIFIED"
        self.history.append((self.version, kind, place[0], copy.deepcopy(found), before))
        return found

    def create(self, place, said, manager="kubectl"):
        if place in self.live:
            raise Conflict(f'{place[0]} "{place[2]}" already exists')
        metadata = {"namespace": place[1], "name": place[2], "uid": str(uuid.uuid4()), "generation": 1,
                    "creationTimestamp": f"2026-01-01T00:00:{next(self.numbers) % 60:02d}Z"}  # fmt: skip
        found = copy.deepcopy(said) | {"metadata": {**said.get("metadata", {}), **metadata}}
        if not place[1]:
            del found["metadata"]["namespace"]
        if place[0] == "deployments":
            found["spec"].setdefault("replicas", 1)
        self.owners[place] = {manager: leaves(content(said))}
        self.put(place, found)
        self.roll(place)
        return self.live[place]

    def apply(self, place, said, manager, status=False):
        """Server-side apply: what the manager no longer says goes, unless somebody else says it too."""
        if place not in self.live:
            return self.create(place, said, manager)
        before = self.live[place]
        for one in ("uid", "resourceVersion"):
            if said["metadata"].get(one, before["metadata"][one]) != before["metadata"][one]:
                raise Conflict(f"the {one} in the precondition is another")
        found, owned = copy.deepcopy(before), self.owners[place]
        said = content({"status": said.get("status", {})} if status else said)
        paths = leaves(said)
        others = set().union(*(its for name, its in owned.items() if name != manager))
        for path in sorted(owned.get(manager, set()) - paths - others, key=len, reverse=True):
            remove(found, path)
        merge(found, said)
        owned[manager] = paths
        return self.change(place, before, found)

    def change(self, place, before, found):
        if place[0] == "deployments":
            found["spec"].setdefault("replicas", 1)
        if found == before:
            return before
        if found.get("spec") != before.get("spec"):
            found["metadata"]["generation"] += 1
        self.put(place, found, before)
        self.roll(place)
        return self.live[place]

    def edit(self, place, function, manager="somebody"):
        """Change an object as a user would, field by field."""
        before = self.live[place]
        found = copy.deepcopy(before)
        function(found)
        self.owners[place].setdefault(manager, set()).update(leaves(content(found)) - leaves(content(before)))
        return self.change(place, before, found)

    def delete(self, place, told=True):
        """Delete an object and what it owns; ``told``: whether watches hear of it."""
        found = self.live.pop(place, None)
        if found is None:
            return
        self.owners.pop(place, None)
        self.version = next(self.numbers)
        gone = copy.deepcopy(found)
        gone["metadata"]["resourceVersion"] = str(self.version)
        if told:
            self.history.append((self.version, "DELETED", place[0], gone, None))
        uid = found["metadata"]["uid"]
        for other, one in list(self.live.items()):
            if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", ())):
                self.delete(other, told)

    def roll(self, place):
        """Do as the controllers of Kubernetes: all pods are there at once."""
        if not self.rolls or place[0] not in ("deployments", "daemonsets"):
            return
        before = self.live[place]
        found, number = copy.deepcopy(before), before["spec"].get("replicas", 1)
        generation = found["metadata"]["generation"]
        found["status"] = (
            {"observedGeneration": generation, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
             "updatedNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2}
            if place[0] == "daemonsets" else
            {"observedGeneration": generation, "replicas": number, "updatedReplicas": number, "readyReplicas": number,
             "availableReplicas": number, "conditions": [
                 {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}
        )  # fmt: skip
        if found != before:
            self.put(place, found, before)

    def shown(self, place):
        """Return an object as the server does, with as much of managedFields as the operator reads."""
        return self.dressed(place, self.live[place])

    def dressed(self, place, one):
        fields = [
            {"manager": name, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
            for name, paths in self.owners.get(place, {}).items()
            if ("spec", "replicas") in paths
        ]
        return {**one, "metadata": {**one["metadata"], "managedFields": fields}}


def content(said):
    """Return what of an object has owners."""
    kept = {key: value for key, value in said.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = said.get("metadata", {})
    metadata = {key: metadata[key] for key in ("labels", "annotations", "ownerReferences") if metadata.get(key)}
    return json.loads(json.dumps(kept | ({"metadata": metadata} if metadata else {})))
