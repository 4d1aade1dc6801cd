"""The instance metadata service of the emulated nodes: version 2 alone, the role's credentials among it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html. A real machine has it at
a link-local address that only the machine reaches; here every node has an address of its own with a secret in
it, in AWS_EC2_METADATA_SERVICE_ENDPOINT. What cannot be emulated is the hop limit.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from werkzeug.wrappers import Request, Response

from sandbox.iam.credentials import RoleRefusedError, credentials_for_role
from sandbox.iam.sessions import SESSIONS, Session
from sandbox.node import Machine, Node
from sandbox.nodes import METADATA_PATH, Nodes

TOKEN_SECONDS = 21_600
"""The longest life of a token, as the service has it."""
CREDENTIAL_SECONDS = 21_600
"""How long a role's credentials on an instance last."""
_RENEW_SECONDS = 3_600
"""New ones are made when the old ones have less left; clients ask for them well before the end."""
_TOKEN, _TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
_SPOT = "meta-data/spot/"
"""There only from the notice on that EC2 takes a spot instance back: two minutes before it ends."""
_TAGS = "meta-data/tags/instance/"
"""There only where the instance's metadata options ask for it."""
_CREDENTIALS = "meta-data/iam/security-credentials/"


class Metadata:
    """Answers the requests of all nodes."""

    def __init__(self, nodes: Nodes, turn: threading.Lock) -> None:
        self._nodes = nodes
        self._turn = turn
        """Held while moto answers; its stores are looked into only then."""
        self._tokens: dict[str, tuple[str, float]] = {}
        """Each token's node, and when it ends by the monotonic clock."""
        self._sessions: dict[tuple[str, str], Session] = {}
        """Credentials by instance and role."""

    def answer(self, request: Request) -> Response:
        """Answer one request below METADATA_PATH."""
        secret, _, path = request.path.removeprefix(METADATA_PATH).partition("/latest/")
        node = self._nodes.by_secret(secret)
        if node is None or not node.running:
            return _text("Not Found", 404)
        machine = node.machine
        with self._turn:
            instance = _instance(machine)
        if instance is None or getattr(instance.metadata_options, "http_endpoint", "") == "disabled":
            return _text("Forbidden", 403)
        if path == "api/token":
            return self._token(request, machine)
        if not self._is_valid(request.headers.get(_TOKEN, ""), machine):
            return _text("Unauthorized", 401)  # version 1 asks without a token
        if request.method != "GET":
            return _text("Method Not Allowed", 405)
        with self._turn:
            return self._data(path, node, instance)

    def _token(self, request: Request, machine: Machine) -> Response:
        if request.method != "PUT" or "X-Forwarded-For" in request.headers:
            return _text("Forbidden", 403)
        seconds = request.headers.get(_TTL, "")
        if not seconds.isdigit() or not 0 < int(seconds) <= TOKEN_SECONDS:
            return _text("Bad Request", 400)
        now = time.monotonic()
        self._tokens = {key: found for key, found in self._tokens.items() if found[1] > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = machine.id, now + int(seconds)
        return _text(token)

    def _is_valid(self, token: str, machine: Machine) -> bool:
        node, ends = self._tokens.get(token, ("", 0.0))
        return node == machine.id and time.monotonic() < ends

    def _data(self, path: str, node: Node, instance: Any) -> Response:
        machine, address = node.machine, node.address
        if path.startswith(_CREDENTIALS):
            return self._credentials(machine, path.removeprefix(_CREDENTIALS))
        if path.startswith(_TAGS):
            return _tag(instance, path.removeprefix(_TAGS))
        zone = str(instance.placement.zone)
        values: dict[str, Callable[[], str]] = {
            "meta-data/instance-id": lambda: machine.id,
            "meta-data/instance-type": lambda: str(instance.instance_type),
            "meta-data/local-ipv4": lambda: address,
            "meta-data/placement/availability-zone": lambda: zone,
            "meta-data/placement/region": lambda: machine.region,
            "dynamic/instance-identity/document": lambda: json.dumps(
                {
                    "accountId": instance.owner_id,
                    "availabilityZone": zone,
                    "instanceId": machine.id,
                    "instanceType": instance.instance_type,
                    "privateIp": address,
                    "region": machine.region,
                }
            ),
        }
        if node.ends_at is not None:
            moment = _iso(datetime.fromtimestamp(node.ends_at, UTC))
            action = json.dumps({"action": "terminate", "time": moment})
            values |= {_SPOT + "instance-action": lambda: action, _SPOT + "termination-time": lambda: moment}
        return _text(values[path]()) if path in values else _text("Not Found", 404)

    def _credentials(self, machine: Machine, name: str) -> Response:
        """Answer the name of the instance's role, or its credentials; nothing without a profile."""
        role = _role(machine)
        if role is None:
            return _text("Not Found", 404)
        if not name:
            return _text(role.name)
        if name != role.name:
            return _text("Not Found", 404)
        try:
            session = self._session(machine, role)
        except RoleRefusedError as error:
            refused = {"Code": "AssumeRoleUnauthorizedAccess", "Message": str(error)}
            return _json({**refused, "LastUpdated": _iso(datetime.now(UTC))})
        return _json(
            {
                "Code": "Success",
                "LastUpdated": _iso(session.issued),
                "Type": "AWS-HMAC",
                "AccessKeyId": session.access_key,
                "SecretAccessKey": session.secret,
                "Token": session.token,
                "Expiration": _iso(session.expires),
            }
        )

    def _session(self, machine: Machine, role: Any) -> Session:
        """Return the instance's session of the role, a new one where the last is about to end."""
        known = self._sessions.get((machine.id, role.arn))
        if known is not None:
            kept = SESSIONS.find(known.access_key)
            if kept is not None and (kept.expires - datetime.now(UTC)).total_seconds() > _RENEW_SECONDS:
                return kept
        key, _, _ = credentials_for_role(role.arn, machine.id, "ec2", duration_s=CREDENTIAL_SECONDS)
        session = SESSIONS.find(key)
        assert session is not None, "it has just begun"
        self._sessions[machine.id, role.arn] = session
        return session


def _instance(machine: Machine) -> Any | None:
    """Return moto's instance of a machine."""
    for account in list(ec2_backends.values()):
        found = account[machine.region].get_instance_by_id(machine.id)
        if found is not None:
            return found
    return None


def _tag(instance: Any, key: str) -> Response:
    """Answer a tag of the instance, or the keys of all."""
    tags = {tag["key"]: str(tag["value"]) for tag in instance.get_tags()}
    if getattr(instance.metadata_options, "instance_metadata_tags", "") != "enabled":
        return _text("Not Found", 404)
    if not key:
        return _text("\n".join(tags))
    return _text(tags[key]) if key in tags else _text("Not Found", 404)


def _role(machine: Machine) -> Any | None:
    """Return moto's role in the instance's profile, or None."""
    for account in list(ec2_backends.values()):
        associations = account[machine.region].iam_instance_profile_associations
        if machine.id in associations:
            roles = associations[machine.id].iam_instance_profile.roles
            return roles[0] if roles else None
    return None


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status=status, content_type="text/plain")


def _json(value: object) -> Response:
    return Response(json.dumps(value), content_type="application/json")
