"""Shells on emulated machines: the data channel's form, and a session from its opening to its end."""

from __future__ import annotations

import io
import json
import struct
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleet.cloud import Cloud
from sandbox.shells.client import Client
from sandbox.shells.frames import BINARY, CLOSE, PING, TEXT, GoneError, accept_key, frame, read_message
from sandbox.shells.messages import ACKNOWLEDGED, OUTPUT, SAID, TYPED, Message, Numbers, unpack
from tests.sandbox_helpers import api, run_instances, wait_for

DOCUMENT = "shells-session"


# ------------------------------------------------------------------------------------------ the form


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_message_of_any_length_arrives_as_it_was_sent(size: int, masked: bool) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    sent = frame(BINARY, content, masked=masked)
    assert read_message(io.BytesIO(sent)) == (BINARY, content)
    assert (content in sent) is (not masked or size == 0)


def test_the_answer_to_a_handshake_is_that_of_the_standard() -> None:
    # The example of RFC 6455, section 1.3.
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_parts_of_a_message_are_put_together_and_a_ping_between_two_messages_is_one_of_its_own() -> None:
    first = bytes([TEXT, 2]) + b"he"  # without the bit that says that it is the last part
    rest = bytes([0x80, 3]) + b"llo"
    reader = io.BytesIO(first + rest + frame(PING, b"x", masked=False) + frame(CLOSE, b"", masked=False))
    assert [read_message(reader) for _ in range(3)] == [(TEXT, b"hello"), (PING, b"x"), (CLOSE, b"")]


@pytest.mark.parametrize("data", [b"", b"\x82", b"\x82\x05ab", b"\x82\x7f" + b"\xff" * 8])
def test_what_ends_too_early_or_is_too_long_ends_the_channel(data: bytes) -> None:
    with pytest.raises(GoneError):
        read_message(io.BytesIO(data))


def test_a_message_has_the_fields_where_awss_client_looks_for_them() -> None:
    identity = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    data = Message(kind=TYPED, payload=b"ls\n", about=OUTPUT, sequence=7, id=identity).pack()
    assert struct.unpack_from("!I", data, 0) == (116,)
    assert data[4:36] == TYPED.encode().ljust(32)
    assert struct.unpack_from("!I", data, 36) == (1,)
    assert struct.unpack_from("!q", data, 48) == (7,)
    assert data[64:80] == identity.bytes[8:] + identity.bytes[:8]
    assert struct.unpack_from("!II", data, 112) == (OUTPUT, 3)
    assert data[120:] == b"ls\n"
    assert unpack(data) == Message(kind=TYPED, payload=b"ls\n", about=OUTPUT, sequence=7, id=identity)


def test_a_message_whose_payload_was_changed_is_none() -> None:
    data = Message(kind=TYPED, payload=b"ls\n", about=OUTPUT).pack()
    for wrong in (data[:-1], data[:-1] + b"x", data[:50], b""):
        with pytest.raises(ValueError, match=r"message|payload"):
            unpack(wrong)


def test_what_is_not_acknowledged_is_sent_again_and_what_comes_twice_counts_once() -> None:
    sent: list[bytes] = []
    ours, heard = Numbers(SAID, sent.append), Numbers(TYPED, sent.append)
    ours.put(OUTPUT, b"a")
    ours.put(OUTPUT, b"b")
    ours.send_again()
    first, second, again, _ = map(unpack, sent)
    assert again == first and not ours.all_heard
    assert not heard.take(second), "it comes again after the one before it"
    assert len(sent) == 4, "and is not acknowledged until then"
    assert [heard.take(each) for each in (first, again, second)] == [True, False, True]
    answers = [unpack(each) for each in sent[4:]]
    assert [each.kind for each in answers] == [ACKNOWLEDGED] * 3
    for each in answers:
        ours.heard(each)
    assert ours.all_heard


# ------------------------------------------------------------------------------------------ a session


@dataclass
class Visitor:
    """Somebody with a client, who keeps what the shell says."""

    session_id: str
    client: Client
    said: bytearray = field(default_factory=bytearray)
    why: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            self.why.append(self.client.listen(self.said.extend))
        except GoneError as error:
            self.why.append(f"gone: {error}")
        finally:
            self.client.close()

    def until(self, text: str) -> None:
        """Wait until the shell has said that."""
        wait_for(lambda: text.encode() in self.said)

    def end(self) -> str:
        """Wait for the end of the channel and return what was told of it."""
        self.thread.join(20)
        assert self.why, f"it goes on: {bytes(self.said)!r}"
        return self.why[0]


@pytest.fixture(scope="module")
def machine(sandbox: Cloud) -> Iterator[str]:
    """A machine of the shared embedded cloud, and a session document that lets nobody be idle for long."""
    ssm = api(sandbox, "ssm")
    for name, idle in ((DOCUMENT, "20"), (f"{DOCUMENT}-short", "0.01")):
        shell = {
            "schemaVersion": "1.0",
            "sessionType": "Standard_Stream",
            "inputs": {"idleSessionTimeout": idle, "shellProfile": {"linux": "cd && exec bash --login"}},
        }
        ssm.create_document(Name=name, DocumentType="Session", Content=json.dumps(shell))
    (made,) = run_instances(sandbox, 1)

    def online() -> bool:
        known = ssm.describe_instance_information()["InstanceInformationList"]
        return made in {each["InstanceId"] for each in known}

    wait_for(online)
    yield made
    api(sandbox, "ec2").terminate_instances(InstanceIds=[made])


def begin(cloud: Cloud, machine: str, document: str = DOCUMENT) -> dict[str, Any]:
    """Begin a session as the account itself."""
    answer: dict[str, Any] = api(cloud, "ssm").start_session(Target=machine, DocumentName=document)
    return answer


def visit(started: dict[str, Any]) -> Visitor:
    """Come for a session's shell."""
    return Visitor(started["SessionId"], Client(started["StreamUrl"], started["TokenValue"]))


def states(cloud: Cloud, session_id: str) -> list[str]:
    """Return in which of Session Manager's lists a session is."""
    ssm, named = api(cloud, "ssm"), [{"key": "SessionId", "value": session_id}]
    return [
        each for each in ("Active", "History") if ssm.describe_sessions(State=each, Filters=named)["Sessions"]
    ]


@pytest.mark.sandbox
def test_a_shell_runs_on_the_machine_behind_a_terminal_and_its_exit_is_the_sessions_end(
    sandbox: Cloud, machine: str
) -> None:
    seen = visit(begin(sandbox, machine))
    seen.client.type(b"echo $FLEETFORM_NODE_ID-$((40+2)); tty; command -v systemctl\n")
    seen.until(f"{machine}-42")
    seen.until("/dev/pts/")
    seen.until("programs/systemctl")  # a login shell has the machine's own programs first, too
    assert states(sandbox, seen.session_id) == ["Active"]
    seen.client.type(b"exit\n")
    assert seen.end() == ""
    assert states(sandbox, seen.session_id) == ["History"]


@pytest.mark.sandbox
def test_ctrl_c_ends_what_runs_and_not_the_shell(sandbox: Cloud, machine: str) -> None:
    seen = visit(begin(sandbox, machine))
    seen.client.type(b"echo now-$((3+4)); sleep 1000; echo came-$((1+1))\n")
    seen.until("now-7")
    seen.client.type(b"\x03")
    seen.client.type(b"echo still-$((1+2)); exit\n")
    seen.until("still-3")
    assert seen.end() == "" and b"came-2" not in seen.said


@pytest.mark.sandbox
def test_the_terminal_has_the_size_that_the_client_tells(sandbox: Cloud, machine: str) -> None:
    seen = visit(begin(sandbox, machine))
    seen.client.ready.wait(10)
    seen.client.resize(132, 50)
    seen.client.type(b"stty size; exit\n")
    seen.until("50 132")
    seen.end()


@pytest.mark.sandbox
def test_a_session_that_is_ended_takes_its_shell_along_and_tells_the_client(
    sandbox: Cloud, machine: str
) -> None:
    seen = visit(begin(sandbox, machine))
    seen.client.type(b"echo ready-$((1+1))\n")
    seen.until("ready-2")
    api(sandbox, "ssm").terminate_session(SessionId=seen.session_id)
    assert seen.end() == "the session was ended"


@pytest.mark.sandbox
def test_a_shell_that_nobody_types_in_is_ended_after_the_documents_time(sandbox: Cloud, machine: str) -> None:
    seen = visit(begin(sandbox, machine, f"{DOCUMENT}-short"))
    assert seen.end() == "nothing was typed for 0.01 minutes"
    wait_for(lambda: states(sandbox, seen.session_id) == ["History"])


@pytest.mark.sandbox
def test_a_client_that_goes_leaves_the_shell_to_itself(sandbox: Cloud, machine: str) -> None:
    started = begin(sandbox, machine)
    seen = visit(started)
    seen.client.type(b"left=yes\n")
    seen.client.type(b"echo $left-$((1+1))\n")
    seen.until("yes-2")
    seen.client.close()
    assert seen.end() == "", "who has left is told of no failure"
    assert states(sandbox, seen.session_id) == ["Active"]
    again = visit(started)
    again.client.type(b"echo $left-$((1+2)); exit\n")
    again.until("yes-3")
    again.end()


@pytest.mark.sandbox
@pytest.mark.parametrize("wrong", ["token", "path"])
def test_nobody_is_let_in_without_the_sessions_token(sandbox: Cloud, machine: str, wrong: str) -> None:
    started, other = begin(sandbox, machine), begin(sandbox, machine)
    url = other["StreamUrl"] if wrong == "path" else started["StreamUrl"]
    token = started["TokenValue"] if wrong == "path" else "x" * 128
    seen = Visitor(started["SessionId"], Client(url, token))
    assert seen.end().startswith("gone")
    assert seen.said == b""


@pytest.mark.sandbox
def test_the_end_of_a_machine_is_the_end_of_the_sessions_on_it(sandbox: Cloud, machine: str) -> None:
    (short_lived,) = run_instances(sandbox, 1)
    ssm = api(sandbox, "ssm")

    def online() -> bool:
        known = ssm.describe_instance_information()["InstanceInformationList"]
        return short_lived in {each["InstanceId"] for each in known}

    wait_for(online)
    seen = visit(begin(sandbox, short_lived))
    seen.client.type(b"echo ready-$((1+1))\n")
    seen.until("ready-2")
    api(sandbox, "ec2").terminate_instances(InstanceIds=[short_lived])
    seen.end()
    wait_for(lambda: states(sandbox, seen.session_id) == ["History"])
