"""An API server in a thread of its own: lists, watches, server-side apply, and whatever trouble a test wants."""

import asyncio
import contextlib
import copy
import json
import threading
import time

from aiohttp import web

from rutta_operator.k8s.kinds import ALL, RESOURCES, SELECTOR
from rutta_operator.spec.models import API_VERSION


def matches(selector, found):
    labels = found["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, _, value in (one.partition("=") for one in selector.split(",") if one))


class FakeApi:
    """The server. Its methods may be called from the thread of the test."""

    def __init__(self, objects):
        self.objects = objects
        self.lock = threading.RLock()
        self.kinds = {api.plural: api for api in ALL.values()}
        self.missing = set()  # kinds that are not served
        self.unshown = set()  # kinds that are served, and not yet told of by discovery
        self.denied = set()  # (verb, plural) that RBAC does not allow
        self.requests = []  # (verb, plural, name, query, namespace)
        self.trouble = []  # functions: (verb, plural, name) → status, headers or None
        self.refusals = []  # functions: object → message or None; for 422
        self.errors = []  # what watches tell next, in place of anything else
        self.interceptors = []  # functions that change what is applied, as webhooks do
        self.frozen = set()  # plurals whose watches bring nothing
        self.watches = set()
        self.page = 500
        self.started = threading.Event()

    def start(self):
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.thread.start()
        assert self.started.wait(5)

    async def serve(self):
        self.loop, self.moved, self.ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.started.set()
        await self.ended.wait()
        self.drop_watches()
        await runner.cleanup()

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.ended.set)
            self.thread.join(5)

    # -- what tests do and ask ------------------------------------------------------------------------------------

    def apply(self, *documents, manager="kubectl"):
        for one in documents:
            metadata = {"namespace": "default", **one["metadata"]}
            with self.change():
                self.objects.apply(self.place(one["kind"], metadata["name"], metadata["namespace"]), one, manager)

    def place(self, kind, name, namespace="default"):
        return ALL[kind].plural, namespace if ALL[kind].namespaced else "", name

    def get(self, kind, name, namespace="default"):
        with self.lock:
            return copy.deepcopy(self.objects.live.get(self.place(kind, name, namespace)))

    def names(self, kind):
        with self.lock:
            return sorted(name for plural, _, name in self.objects.live if plural == ALL[kind].plural)

    def edit(self, kind, name, function, namespace="default"):
        with self.change():
            self.objects.edit(self.place(kind, name, namespace), function)

    def delete(self, kind, name, namespace="default", told=True):
        with self.change():
            self.objects.delete(self.place(kind, name, namespace), told)

    def roll(self, kind, name, namespace="default"):
        with self.change():
            self.objects.rolls = True
            self.objects.roll(self.place(kind, name, namespace))

    def writes(self):
        """Return what was written but Leases, and reviews, which write nothing."""
        verbs, not_told = ("create", "patch", "update", "delete"), ("leases", "selfsubjectaccessreviews")
        with self.lock:
            return [one for one in self.requests if one[0] in verbs and one[1] not in not_told]

    def versions(self, namespaces):
        """Return kind, name and version of what the operator should know."""
        told = {"events", "leases", "namespaces"}
        with self.lock:
            return [
                ((self.kinds[plural].kind, name), int(found["metadata"]["resourceVersion"]))
                for (plural, namespace, name), found in self.objects.live.items()
                if plural not in told and (not namespaces or namespace in namespaces)
                and (self.kinds[plural].kind in RESOURCES or matches(SELECTOR, found))
            ]  # fmt: skip

    def compact(self):
        """Forget the history: watches that begin anew are told 410."""
        with self.lock:
            self.objects.oldest = self.objects.version
            self.objects.history.clear()

    def drop_watches(self):
        """Break every watch's connection."""

        def drop():
            for transport in list(self.watches):
                transport.close()

        self.loop.call_soon_threadsafe(drop)

    @contextlib.contextmanager
    def change(self):
        with self.lock:
            yield
        self.loop.call_soon_threadsafe(self.tell)

    def tell(self):
        self.moved.set()
        self.moved = asyncio.Event()

    # -- what the operator asks -----------------------------------------------------------------------------------

    async def answer(self, request):
        parts = request.path.strip("/").split("/")
        root, parts = parts[: 2 if parts[0] == "api" else 3], parts[2 if parts[0] == "api" else 3 :]
        if not parts:
            return self.discover(root)
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural, name, sub = (*parts, "", "")[:3]
        verb = self.verb(request, name)
        query = dict(request.query)
        with self.lock:
            name = name or query.get("fieldSelector", "").removeprefix("metadata.name=")
            self.requests.append((verb, f"{plural}/{sub}" if sub else plural, name, query, namespace))
            answer = self.troubled(verb, plural, name)
        if answer is not None:
            return answer
        if self.kinds[plural].kind in self.missing:
            return refuse(404, "the server could not find the requested resource")
        if verb == "watch":
            return await self.watch(request, plural, namespace)
        body = json.loads(await request.read() or b"null")
        with self.change():
            return getattr(self, f"on_{verb}")(request, (plural, namespace, name), body, sub)

    def troubled(self, verb, plural, name):
        if (verb, plural) in self.denied or (verb == "get" and plural != "leases"):  # as our roles have it
            return refuse(403, f"{plural} is forbidden: cannot {verb}")
        for one in self.trouble:
            found = one(verb, plural, name)
            if found is not None:
                return refuse(found, "the test wants it so", {"Retry-After": "0"} if found == 429 else {})
        return None

    @staticmethod
    def verb(request, name):
        if request.method == "GET":
            return "get" if name else "watch" if request.query.get("watch") == "true" else "list"
        return {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}[request.method]

    def discover(self, root):
        if root == ["api"]:
            return web.json_response({"versions": ["v1"]})
        served = [api for api in self.kinds.values() if api.kind not in self.missing | self.unshown]
        served.append(ALL["Namespace"]._replace(
            kind="CustomResourceDefinition", group="apiextensions.k8s.io", plural="customresourcedefinitions"
        ))  # fmt: skip
        if root == ["apis"]:
            groups = sorted({(api.group, api.version) for api in served if api.group})
            return web.json_response({"groups": [
                {"name": group, "versions": [{"version": version}], "preferredVersion": {"version": version}}
                for group, version in groups
            ]})  # fmt: skip
        group, version = ("", root[1]) if root[0] == "api" else root[1:]
        resources = [
            {"name": api.plural, "kind": api.kind, "singularName": api.kind.lower(), "namespaced": api.namespaced,
             "verbs": ["get", "list", "watch", "patch", "create", "delete"]}
            for api in served if (api.group, api.version) == (group, version)
        ]  # fmt: skip
        return web.json_response({"resources": resources}) if resources else refuse(404, "not found")

    def shown(self, request, place):
        found = self.objects.shown(place)
        return metadata_only(request, found)

    def listed(self, request, place):
        """Return an item of a list: those of built-in kinds do not say what they are."""
        found, api = self.shown(request, place), self.kinds[place[0]]
        built_in = "." not in api.group or api.group.endswith(".k8s.io")
        return {key: one for key, one in found.items() if key not in ("apiVersion", "kind")} if built_in else found

    def on_get(self, request, place, body, sub):
        if place not in self.objects.live:
            return refuse(404, f'{place[0]} "{place[2]}" not found')
        return web.json_response(self.shown(request, place))

    def on_list(self, request, place, body, sub):
        plural, namespace, _ = place
        begin = int(request.query.get("continue") or 0)
        places = sorted(
            one for one, found in self.objects.live.items()
            if one[0] == plural and namespace in ("", one[1]) and matches(request.query.get("labelSelector", ""), found)
            and request.query.get("fieldSelector") in (None, f"metadata.name={one[2]}")
        )  # fmt: skip
        rest = str(begin + self.page) if len(places) > begin + self.page else ""
        items = [self.listed(request, one) for one in places[begin : begin + self.page]]
        metadata = {"resourceVersion": str(self.objects.version), "continue": rest}
        # what is built in is written by Go, to which no items are null; kinds are said of the list only
        return web.json_response({
            "apiVersion": self.kinds[plural].api_version, "kind": f"{self.kinds[plural].kind}List",
            "metadata": metadata, "items": items or None if "Partial" in request.headers["Accept"] else items,
        })  # fmt: skip

    def on_create(self, request, place, body, sub):
        if place[0] == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return web.json_response({**body, "status": {"allowed": allowed}})
        place = (place[0], place[1], body["metadata"]["name"])
        if place in self.objects.live:
            return refuse(409, f"{place[2]} already exists")
        return web.json_response(self.objects.create(place, body, "operator"))

    def on_update(self, request, place, body, sub):
        before = self.objects.live.get(place)
        if before is None or before["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            return refuse(409, "the object has been modified")
        return web.json_response(self.objects.change(place, before, copy.deepcopy(body)))

    def on_patch(self, request, place, body, sub):
        if "merge-patch" in request.headers["Content-Type"]:
            return self.merge_patch(request, place, body)
        live = self.objects.live.get(place)
        message = next((text for one in self.refusals if (text := one(body, live))), None)
        if message is not None:
            return refuse(422, message)
        for one in self.interceptors:
            one(body)
        if request.query.get("dryRun"):
            return web.json_response(body)
        try:
            if sub == "status" and place not in self.objects.live:
                return refuse(404, "not found")
            self.objects.apply(place, body, request.query["fieldManager"], status=sub == "status")
        except Exception as exc:
            if type(exc).__name__ not in ("Conflict", "Invalid"):
                raise
            return refuse(exc.status, str(exc))
        return web.json_response(self.objects.shown(place))

    def merge_patch(self, request, place, body):
        if place not in self.objects.live:
            return refuse(404, "not found")
        try:
            self.objects.edit(place, lambda found: json_merge(found, body), request.query["fieldManager"])
        except Exception as exc:
            if type(exc).__name__ != "Invalid":
                raise
            return refuse(exc.status, str(exc))
        return web.json_response(self.objects.shown(place))

    def on_delete(self, request, place, body, sub):
        found = self.objects.live.get(place)
        if found is None:
            return refuse(404, "not found")
        if body["preconditions"]["uid"] != found["metadata"]["uid"]:
            return refuse(409, "the uid in the precondition is another")
        self.objects.delete(place)
        return web.json_response({"status": "Success"})

    async def watch(self, request, plural, namespace):
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches.add(request.transport)
        try:
            await self.stream(request, response, plural, namespace)
        except (ConnectionError, OSError):
            pass
        finally:
            self.watches.discard(request.transport)
        return response

    async def stream(self, request, response, plural, namespace):
        seen, selector = int(request.query["resourceVersion"]), request.query.get("labelSelector", "")
        while request.transport is not None and not request.transport.is_closing():
            moved = self.moved
            with self.lock:
                gone = seen < self.objects.oldest
                news = [] if plural in self.frozen else [one for one in self.objects.history if one[0] > seen]
            if self.errors and plural == "ruttarouters":
                error = {"type": "ERROR", "object": self.errors.pop()}
                await response.write(json.dumps(error).encode() + b"\n")
                return
            if gone:
                error = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
                await response.write(json.dumps(error).encode() + b"\n")
                return
            for version, kind, its, found, before in news:
                seen = version
                told = its == plural and namespace in ("", found["metadata"].get("namespace"))
                kind = selected(selector, kind, found, before) if told else None
                if kind is not None:
                    place = (its, found["metadata"].get("namespace", ""), found["metadata"]["name"])
                    event = {"type": kind, "object": self.objects.dressed(place, found)}
                    await response.write(json.dumps(event).encode() + b"\n")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), 1)


def json_merge(found, changes):
    """Patch as RFC 7386 says: maps are merged, null removes, all else is replaced."""
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            json_merge(found[key], value)
        else:
            found[key] = copy.deepcopy(value)


def selected(selector, kind, found, before):
    """Return what a watch by labels tells: an object that has them no longer is gone."""
    now, was = matches(selector, found), before is not None and matches(selector, before)
    if kind == "MODIFIED":
        return "MODIFIED" if now and was else "ADDED" if now else "DELETED" if was else None
    return kind if now else None


def metadata_only(request, found):
    partial = "PartialObjectMetadata" in request.headers["Accept"]
    return {"metadata": found["metadata"]} if partial else found


def refuse(status, message, headers=None):
    return web.json_response(
        {"kind": "Status", "status": "Failure", "code": status, "message": message, "details": {}},
        status=status, headers=headers,
    )  # fmt: skip


def resource(kind, name, namespace="default", **spec):
    """Return one of our resources."""
    assert kind in RESOURCES
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def router(name="main", namespace="default", **spec):
    listeners = [{"name": "web", "http": {"port": 8080, "codec": "json"}}]
    said = {"replicas": 2, "listeners": listeners, "targets": [{"name": "out", "uri": "console://."}]}
    return resource("RuttaRouter", name, namespace, **said | spec)


def shipper(name="edge", to="main", namespace="default", **spec):
    to = {"kind": "RuttaRouter", "name": to} if isinstance(to, str) else to
    sources = [{"name": "udp", "udp": {"port": 10002, "codec": "json"}}]
    said = {"sources": sources, "to": to if isinstance(to, list) else [to]}
    return resource("RuttaShipper", name, namespace, **said | spec)


async def eventually(probe, seconds=30.0):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < end, f"it did not happen in {seconds:g} s"
        await asyncio.sleep(0.01)
    return found
