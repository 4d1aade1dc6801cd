"""Emulated nodes: user data and commands that really run, on addresses that the API gives."""

from __future__ import annotations

import base64
import gzip
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from sandbox.processes import NODE_VARIABLE, marked
from tests.sandbox_helpers import admin, api, finished, run_instances, run_script, wait_for

pytestmark = pytest.mark.sandbox


def node_root(home: Path, instance_id: str) -> Path:
    return home / "sandbox/nodes" / instance_id


def online(cloud: Cloud, instance_id: str) -> bool:
    filters = [{"Key": "InstanceIds", "Values": [instance_id]}]
    return bool(api(cloud, "ssm").describe_instance_information(Filters=filters)["InstanceInformationList"])


def test_user_data_runs_on_the_node_and_not_on_the_host(sandbox: Cloud, sandbox_home: Path) -> None:
    script = '#!/bin/bash\nmkdir -p "$FLEETFORM_ROOT/made"\nenv > "$FLEETFORM_ROOT/made/env"\n'
    script += "echo booted"
    [instance_id] = run_instances(sandbox, user_data=script)
    wait_for(lambda: online(sandbox, instance_id))
    root = node_root(sandbox_home, instance_id)
    environment = dict(line.split("=", 1) for line in (root / "made/env").read_text().splitlines())
    assert environment["FLEETFORM_ROOT"] == environment["HOME"] == str(root)
    assert environment["AWS_ENDPOINT_URL"] == sandbox.endpoint
    assert Path(environment["FLEETFORM_PYTHON"]).is_file()
    log = (root / "var/log/boot.log").read_text()
    assert "AWS_ACCESS_KEY_ID" not in environment
    assert log.startswith("booted\n")
    assert log.endswith("user data ended with exit code 0\n")


def test_nothing_of_the_hosts_environment_reaches_a_node(sandbox: Cloud) -> None:
    [instance_id] = run_instances(sandbox)
    seen = run_script(sandbox, instance_id, "env")["StandardOutputContent"]
    names = {line.split("=")[0] for line in seen.splitlines()}
    own = {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PWD", "TMPDIR"}
    assert {name for name in names & set(os.environ) if not name.startswith("AWS_")} <= own


def test_compressed_user_data_runs_too(sandbox: Cloud, sandbox_home: Path) -> None:
    packed = base64.b64encode(gzip.compress(b"#!/bin/sh\necho unpacked\n")).decode()
    ec2 = api(sandbox, "ec2")
    ec2.create_launch_template(
        LaunchTemplateName="packed",
        LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "g5.xlarge", "UserData": packed},
    )
    started = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "packed"}, MinCount=1, MaxCount=1)
    instance_id = started["Instances"][0]["InstanceId"]
    wait_for(lambda: online(sandbox, instance_id))
    assert "unpacked" in (node_root(sandbox_home, instance_id) / "var/log/boot.log").read_text()


def test_user_data_that_cannot_run_says_so_in_the_log(sandbox: Cloud, sandbox_home: Path) -> None:
    [instance_id] = run_instances(sandbox, user_data="#!/no/such/interpreter\n")
    wait_for(lambda: online(sandbox, instance_id))
    assert "cannot run" in (node_root(sandbox_home, instance_id) / "var/log/boot.log").read_text()


def test_a_node_is_online_only_after_its_user_data_and_commands_wait_for_it(
    sandbox: Cloud, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    [instance_id] = run_instances(sandbox, user_data=f"#!/bin/sh\nread line < {gate}\n")
    assert not online(sandbox, instance_id)
    ssm = api(sandbox, "ssm")
    command = ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[instance_id], Parameters={"commands": ["echo ran"]}
    )["Command"]
    assert command["Status"] == "Pending"
    gate.write_text("go\n")
    assert finished(sandbox, command["CommandId"], instance_id)["StandardOutputContent"] == "ran\n"
    assert online(sandbox, instance_id)


def test_nodes_reach_each_other_by_the_address_that_the_api_gives(sandbox: Cloud) -> None:
    server, visitor = run_instances(sandbox, 2)
    described = api(sandbox, "ec2").describe_instances(InstanceIds=[server])
    address = described["Reservations"][0]["Instances"][0]["PrivateIpAddress"]
    serve = (
        '"$FLEETFORM_PYTHON" -c "import socket, pathlib\n'
        f"s = socket.create_server(('{address}', 0)); print(s.getsockname()[1], flush=True)\n"
        "pathlib.Path('port').write_text(str(s.getsockname()[1])); s.accept()[0].sendall(b'hello')\""
    )
    command_id = api(sandbox, "ssm").send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[server], Parameters={"commands": [serve]}
    )["Command"]["CommandId"]
    file = f'"$FLEETFORM_ROOT/../{server}/port"'
    look = f"while ! [ -s {file} ]; do sleep 0.02; done; cat {file}"
    port = run_script(sandbox, visitor, look)["StandardOutputContent"].strip()
    visit = (
        f'"$FLEETFORM_PYTHON" -c "import socket; print(socket.create_connection((\'{address}\', {port}))'
        '.recv(9).decode())"'
    )
    assert address.startswith("127.77.")
    assert run_script(sandbox, visitor, visit)["StandardOutputContent"] == "hello\n"
    assert finished(sandbox, command_id, server)["Status"] == "Success"


def test_a_gpu_node_has_one_core_and_the_head_has_them_all(sandbox: Cloud) -> None:
    [node] = run_instances(sandbox)
    [head] = run_instances(sandbox, **{"fleetform:role": "head"})
    count = "nproc; echo GPUs=$CUDA_VISIBLE_DEVICES"
    assert run_script(sandbox, node, count)["StandardOutputContent"].splitlines()[0] == "1"
    everything = str(len(os.sched_getaffinity(0)))
    assert run_script(sandbox, head, count)["StandardOutputContent"] == f"{everything}\nGPUs=\n"


def test_terminating_ends_every_process_and_removes_the_files(sandbox: Cloud, sandbox_home: Path) -> None:
    [instance_id] = run_instances(sandbox, user_data="#!/bin/sh\nsetsid sleep 600 &\n")
    wait_for(lambda: online(sandbox, instance_id))
    assert len(marked(NODE_VARIABLE, instance_id)) == 1
    api(sandbox, "ec2").terminate_instances(InstanceIds=[instance_id])
    wait_for(lambda: not marked(NODE_VARIABLE, instance_id))
    wait_for(lambda: not node_root(sandbox_home, instance_id).exists())
    assert not online(sandbox, instance_id)


def test_a_stopped_node_keeps_its_files_and_its_user_data_does_not_run_again(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    ec2 = api(sandbox, "ec2")
    [instance_id] = run_instances(sandbox, user_data="#!/bin/sh\necho x >> count\nsleep 600 &\n")
    wait_for(lambda: online(sandbox, instance_id))
    ec2.stop_instances(InstanceIds=[instance_id])
    assert marked(NODE_VARIABLE, instance_id) == []
    assert not online(sandbox, instance_id)
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        run_script(sandbox, instance_id, "true")
    ec2.start_instances(InstanceIds=[instance_id])
    assert run_script(sandbox, instance_id, "cat count")["StandardOutputContent"] == "x\n"


def test_the_same_client_token_starts_one_instance(sandbox: Cloud) -> None:
    request = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    ec2 = api(sandbox, "ec2")
    first, second = (ec2.run_instances(**request)["Instances"][0]["InstanceId"] for _ in range(2))
    assert first == second


def test_no_call_of_these_tests_met_a_gap(sandbox: Cloud) -> None:
    assert "ssm:SendCommand" not in admin(sandbox, "GET", "status")["gaps"]
