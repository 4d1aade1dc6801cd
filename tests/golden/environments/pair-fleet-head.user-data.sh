#!/bin/bash
# Makes this machine a head of the environment pair. It may run again: every step replaces
# what the one before it left. FLEETFORM_ROOT is empty on a machine of its own, and a folder on an emulated one.
set -euo pipefail

root="${FLEETFORM_ROOT:-}"
bucket=golden-co-pair-artifacts-us-east-1
bundle_key=node/0000000000000000000000000000000000000000000000000000000000000000/bundle.tar.gz
bundle_sha256=0000000000000000000000000000000000000000000000000000000000000000

mkdir -p "$root/etc/fleetform" "$root/opt" "$root/var/fleetform"
rm -f "$root/var/fleetform/ready"

cat >"$root/etc/fleetform/node.json" <<'NODE_JSON'
{
  "environment": "pair",
  "region": "us-east-1",
  "artifact_bucket": "golden-co-pair-artifacts-us-east-1",
  "dataset_bucket": "golden-co-pair-datasets-us-east-1",
  "role": "head",
  "fleet": "",
  "node_document": "pair-run-node",
  "scheduler": "slurm",
  "storage_key": "node/storage.json",
  "python": "/opt/pytorch/bin/python3"
}
NODE_JSON
printf '%s\n' /opt/pytorch/bin/python3 >"$root/etc/fleetform/python"

# Each run is a command that lasts as long as the run; the agent carries out 5 at a time unless it is told.
mkdir -p "$root/etc/amazon/ssm"
cat >"$root/etc/amazon/ssm/amazon-ssm-agent.json" <<'AGENT_JSON'
{"Mds": {"CommandWorkersLimit": 200}}
AGENT_JSON
if [ -z "$root" ]; then
  systemctl restart snap.amazon-ssm-agent.amazon-ssm-agent.service || systemctl restart amazon-ssm-agent ||
    echo "the Systems Manager agent could not be restarted: more than 5 runs at once will wait" >&2
fi

if [ -z "$root" ]; then
  # Sessions run as this user, which may do nothing as root; runs need it not.
  id fleetform >/dev/null 2>&1 || useradd --create-home --shell /bin/bash fleetform ||
    echo "the user fleetform could not be made, so no session can be opened" >&2
fi

# The instance profile's credentials and the network may come up a little after the machine itself.
fetched="$(mktemp -d "$root/opt/.fetched.XXXXXX")"
trap 'rm -rf "$fetched"' EXIT
for pause in 1 2 4 8 16 32 64 128 256 0; do
  if aws s3 cp --region us-east-1 --only-show-errors \
    "s3://$bucket/$bundle_key" "$fetched/bundle.tar.gz"; then
    gzip -d "$fetched/bundle.tar.gz"
    break
  fi
  sleep "$pause"
done
echo "$bundle_sha256  $fetched/bundle.tar" | sha256sum --check --status || {
  echo "the node bundle could not be fetched whole from s3://$bucket/$bundle_key" >&2
  exit 1
}

mkdir "$fetched/fleetform"
tar -xf "$fetched/bundle.tar" -C "$fetched/fleetform"
chmod 0755 "$fetched"/fleetform/bin/*
rm -rf "$root/opt/fleetform"
mv "$fetched/fleetform" "$root/opt/fleetform"

# A run on a machine that could not mount them fails with the reason; until then it may serve others.
"$root/opt/fleetform/bin/fleetform-node" mounts || echo "the file systems are not all mounted" >&2

# A service makes it a part of its cluster, and then says that it is ready: what fails is tried again, after a
# restart of the machine too.
mkdir -p "$root/etc/systemd/system"
cp "$root/opt/fleetform/units/fleetform-boot.service" "$root/etc/systemd/system/"
systemctl daemon-reload
systemctl enable fleetform-boot.service
systemctl start --no-block fleetform-boot.service
