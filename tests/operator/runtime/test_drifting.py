"""What others do to our objects: ours is put back, theirs stays."""

import copy

import pytest

CHILDREN = (
    ("ServiceAccount", "main-router"),
    ("ConfigMap", None),
    ("Service", "main-router"),
    ("Service", "main-router-link"),
    ("Service", "main-router-health"),
    ("NetworkPolicy", "main-router"),
    ("Deployment", "main-router"),
    ("PodDisruptionBudget", "main-router"),
    ("PodMonitor", "main-router"),
    ("PrometheusRule", "main-router"),
    ("HorizontalPodAutoscaler", "main-router"),
    ("DaemonSet", "main-router"),
)


def resource(fake, kind):
    """Return a router that has a child of this kind."""
    found = fake.router(networkPolicy={"enabled": True})
    if kind == "HorizontalPodAutoscaler":
        del found["spec"]["replicas"]
        found["spec"]["autoscaling"] = {"minReplicas": 2, "maxReplicas": 9}
    if kind == "DaemonSet":
        del found["spec"]["replicas"]
        found["spec"]["workload"] = "DaemonSet"
    return found


@pytest.mark.parametrize(("kind", "name"), CHILDREN, ids=lambda one: one or "of_its_config")
async def test_every_field_that_we_say_is_put_back(api, fake, start, kind, name):
    api.apply(resource(fake, kind))
    operator = await start()
    await operator.settled()
    name = name or api.names(kind)[0]
    wanted = api.get(kind, name)
    paths = sorted(scalars({key: wanted[key] for key in wanted if key in OURS}), key=str)
    assert paths
    for path in paths:
        api.edit(kind, name, lambda found, path=path: spoil(found, path))
        assert ours(api.get(kind, name)) != ours(wanted), path
        await fake.eventually(lambda: ours(api.get(kind, name)) == ours(wanted))
        await operator.settled()


ADDED = [
    ("Service", "main-router-link", lambda found: found["spec"]["selector"].update(more="x")),
    ("PodDisruptionBudget", "main-router", lambda found: found["spec"]["selector"]["matchLabels"].update(more="x")),
    ("NetworkPolicy", "main-router", lambda found: found["spec"]["ingress"][0].update({"from": [{}]})),
    ("Deployment", "main-router", lambda found: pod_of(found)["tolerations"][0].update(effect="NoExecute")),
]


def pod_of(found):
    return found["spec"]["template"]["spec"]


@pytest.mark.parametrize(("kind", "name", "add"), ADDED, ids=[kind for kind, _, _ in ADDED])
async def test_what_is_added_to_what_is_wholly_ours_is_taken_away(api, fake, start, kind, name, add):
    """A label more in a Service's selector, and nobody reaches the pods."""
    tolerations = [{"key": "a", "operator": "Exists"}]
    api.apply(fake.router(networkPolicy={"enabled": True}, tolerations=tolerations))
    await (await start()).settled()
    wanted = ours(api.get(kind, name))
    api.edit(kind, name, add)
    assert ours(api.get(kind, name)) != wanted
    await fake.eventually(lambda: ours(api.get(kind, name)) == wanted)


@pytest.mark.parametrize(("kind", "name"), CHILDREN, ids=lambda one: one or "of_its_config")
async def test_a_deleted_object_returns(api, fake, start, kind, name):
    api.apply(resource(fake, kind))
    await (await start()).settled()
    name = name or api.names(kind)[0]
    before = api.get(kind, name)["metadata"]["uid"]
    api.delete(kind, name)
    after = await fake.eventually(lambda: api.get(kind, name))
    assert after["metadata"]["uid"] != before


async def test_what_others_say_survives_ten_passes(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()

    def add(found):
        found["metadata"]["labels"]["cost-centre"] = "42"
        found["metadata"]["annotations"]["somebody/else"] = "yes"
        annotations = found["spec"]["template"]["metadata"].setdefault("annotations", {})
        annotations["kubectl.kubernetes.io/restartedAt"] = "now"
        found["spec"]["template"]["spec"]["schedulerName"] = "another"

    api.edit("Deployment", "main-router", add)
    theirs = api.get("Deployment", "main-router")
    for _ in range(10):
        operator.again()
        await operator.settled()
    assert api.get("Deployment", "main-router") == theirs


async def test_a_port_whose_number_somebody_changed_is_put_back(api, fake, start):
    """It is another port to the API server, and has the name that ours must have."""
    api.apply(fake.router())
    await (await start()).settled()
    before = api.get("Service", "main-router")["spec"]["ports"]
    api.edit("Service", "main-router", lambda found: found["spec"]["ports"][0].update(port=9999))
    await fake.eventually(lambda: api.get("Service", "main-router")["spec"]["ports"] == before)


SYSLOG = (
    {"name": "udp", "udp": {"port": 5514, "codec": "plain"}, "servicePort": 514},
    {"name": "tcp", "tcp": {"port": 5515, "codec": "plain"}, "servicePort": 514},
)


async def test_a_listener_beside_two_of_one_port_can_go(api, fake, start, condition):
    """514 by TCP and by UDP are two ports, though a strategic merge takes them for one."""
    web = {"name": "web", "http": {"port": 8080, "codec": "json"}}
    api.apply(fake.router(listeners=[*SYSLOG, web]))
    operator = await start()
    await operator.settled()
    assert len(ports(api)) == 3
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(listeners=list(SYSLOG)))
    await fake.eventually(lambda: ports(api) == [(514, "TCP", "tcp"), (514, "UDP", "udp")])
    await operator.settled()
    assert condition("RuttaRouter", "main", "Accepted") == "True"


async def test_a_port_of_somebody_else_beside_two_of_one_number_goes(api, fake, start, condition):
    api.apply(fake.router(listeners=list(SYSLOG)))
    operator = await start()
    await operator.settled()
    other = {"name": "other", "port": 9999, "protocol": "TCP"}
    api.edit("Service", "main-router", lambda found: found["spec"]["ports"].append(other))
    await fake.eventually(lambda: ports(api) == [(514, "TCP", "tcp"), (514, "UDP", "udp")])
    await operator.settled()
    assert condition("RuttaRouter", "main", "Accepted") == "True"


async def test_ports_change_their_numbers_all_at_once(api, fake, start):
    api.apply(fake.router(listeners=list(SYSLOG)))
    operator = await start()
    await operator.settled()
    moved = [{**one, "servicePort": 515} for one in SYSLOG]
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(listeners=moved))
    await fake.eventually(lambda: ports(api) == [(515, "TCP", "tcp"), (515, "UDP", "udp")])


def ports(api):
    found = api.get("Service", "main-router")["spec"]["ports"]
    return sorted((one["port"], one["protocol"], one["name"]) for one in found)


async def test_a_label_that_hides_an_object_from_us_is_put_back(api, fake, start):
    api.apply(fake.router())
    await (await start()).settled()
    label = "app.kubernetes.io/managed-by"
    api.edit("Service", "main-router", lambda found: found["metadata"]["labels"].pop(label))
    await fake.eventually(lambda: label in api.get("Service", "main-router")["metadata"]["labels"])


async def test_an_object_that_somebody_made_nobodys_is_told(api, fake, start, condition):
    api.apply(fake.router())
    await (await start()).settled()

    def disown(found):
        del found["metadata"]["ownerReferences"]
        del found["metadata"]["labels"]["rutta.logary.tech/instance"]

    api.edit("Service", "main-router", disown)
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
    assert api.get("RuttaRouter", "main")["status"]["conditions"][0]["reason"] == "NameTaken"


async def test_a_status_that_somebody_wrote_is_put_back(api, fake, start, condition):
    api.apply(fake.router())
    await (await start()).settled()
    api.edit("RuttaRouter", "main", lambda found: found["status"].update(readyReplicas=99))
    await fake.eventually(lambda: api.get("RuttaRouter", "main")["status"]["readyReplicas"] == 2)


async def test_a_webhook_that_changes_what_we_apply_starts_no_quarrel(api, fake, start):
    """Somebody changes our Service as often as it is written, as a mutating webhook does."""

    def change(found):
        if found["kind"] == "Service":
            found["spec"]["publishNotReadyAddresses"] = "x"
        if found["kind"] == "Deployment":
            found["spec"]["minReadySeconds"] = 99

    api.interceptors.append(change)
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    before = api.writes()
    for _ in range(3):
        operator.again()
        await operator.settled()
    assert api.writes() == before


OURS = ("metadata", "spec", "data", "automountServiceAccountToken")
KEYS = ("name", "mountPath", "containerPort", "port", "protocol", "topologyKey", "whenUnsatisfiable")
VOLATILE = ("resourceVersion", "generation", "uid", "creationTimestamp", "name", "namespace")


def ours(found):
    found = copy.deepcopy({key: value for key, value in found.items() if key != "status"})
    for key in VOLATILE:
        found["metadata"].pop(key, None)
    return found


def scalars(value, path=()):
    """Yield the paths of all values that are neither maps nor lists, but those by which an object is found."""
    if len(path) > 1 and isinstance(path[-2], int) and path[-1] in KEYS:
        return
    if path[:2] == ("metadata", "ownerReferences") or (path[:1] == ("metadata",) and path[-1] in VOLATILE):
        return
    if isinstance(value, dict):
        for key, one in value.items():
            yield from scalars(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from scalars(one, (*path, index))
    else:
        yield path


def spoil(found, path):
    for step in path[:-1]:
        found = found[step]
    value = found[path[-1]]
    found[path[-1]] = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + "x"
