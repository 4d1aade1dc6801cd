#!/bin/bash
# Makes this machine a node of the environment closed. It may run again: every step replaces
# what the one before it left. FLEETFORM_ROOT is empty on a machine of its own, and a folder on an emulated one.
set -euo pipefail

root="${FLEETFORM_ROOT:-}"
bucket=golden-co-closed-artifacts-us-east-1
bundle_key=node/0000000000000000000000000000000000000000000000000000000000000000/bundle.tar.gz
bundle_sha256=0000000000000000000000000000000000000000000000000000000000000000

mkdir -p "$root/etc/fleetform" "$root/opt" "$root/var/fleetform"
rm -f "$root/var/fleetform/ready"

cat >"$root/etc/fleetform/node.json" <<'NODE_JSON'
{
  "environment": "closed",
  "region": "us-east-1",
  "artifact_bucket": "golden-co-closed-artifacts-us-east-1",
  "dataset_bucket": "golden-co-closed-datasets-us-east-1",
  "role": "node",
  "fleet": "gpu",
  "node_document": "closed-run-node",
  "scheduler": "slurm",
  "storage_key": "node/storage.json",
  "python": "/opt/pytorch/bin/python3"
}
NODE_JSON
printf '%s\n' /opt/pytorch/bin/python3 >"$root/etc/fleetform/python"


if [ -z "$root" ]; then
  # Sessions run as this user, which may do nothing as root; runs need it not.
  id fleetform >/dev/null 2>&1 || useradd --create-home --shell /bin/bash fleetform ||
    echo "the user fleetform could not be made, so no session can be opened" >&2
fi

if [ -z "$root" ]; then
  cat >/usr/local/sbin/fleetform-scratch <<'SCRATCH'
#!/bin/bash
# Makes this machine's local NVMe disks one volume at /scratch. It runs at every start: the disks keep what they
# hold over a reboot and are empty after a stop. Disks of the network (EBS) are never touched.
set -euo pipefail
shopt -s inherit_errexit

scratch="${FLEETFORM_SCRATCH:-/scratch}"
array=/dev/md/scratch
label=fleetform

# Lists the local disks by their model; a volume of EBS is "Amazon Elastic Block Store".
local_disks() {
  lsblk --nodeps --noheadings --paths --output NAME,MODEL | awk '/Amazon EC2 NVMe Instance Storage/ { print $1 }'
}

# Prints what lies on these disks already: `standing mount DISKS` a mount point, `standing raid0 DISKS` an array.
standing() {
  local kind="$1"
  shift
  if [ "$kind" = mount ]; then
    lsblk --list --noheadings --paths --output NAME,TYPE,MOUNTPOINT "$@" | awk 'NF > 2 { print $3; exit }'
  else
    lsblk --list --noheadings --paths --output NAME,TYPE "$@" | awk -v kind="$kind" '$2 == kind { print $1; exit }'
  fi
}

# Prints the device to mount, with a file system on it.
prepare() {
  local device
  device="$(blkid --label "$label" || true)"
  if [ -n "$device" ]; then
    echo "$device"
    return
  fi
  if [ $# -eq 1 ]; then
    device="$1"
  else
    # An array without a file system is what an interrupted start left.
    device="$(standing raid0 "$@")"
    if [ -z "$device" ]; then
      device="$array"
      mdadm --create "$array" --run --level=0 --name=scratch --homehost=any --raid-devices=$# "$@" >&2
    fi
  fi
  # Without discarding blocks, for minutes on large disks: those of a new machine are empty.
  mkfs.xfs -f -K -L "$label" "$device" >&2
  echo "$device"
}

main() {
  local disks device used
  if mountpoint --quiet "$scratch"; then
    return
  fi
  mapfile -t disks < <(local_disks)
  if [ -z "${disks[*]:-}" ]; then
    return
  fi
  mkdir -p "$scratch"
  # AWS's Deep Learning images join and mount the disks themselves (dlami-nvme.service): theirs is taken.
  used="$(standing mount "${disks[@]}")"
  if [ -n "$used" ] && [ "$used" != "$scratch" ]; then
    mount --bind "$used" "$scratch"
  else
    device="$(prepare "${disks[@]}")"
    mount -o noatime "$device" "$scratch"
  fi
  chmod 1777 "$scratch"
}

main
SCRATCH
  chmod 0755 /usr/local/sbin/fleetform-scratch
  cat >/etc/systemd/system/fleetform-scratch.service <<'UNIT'
[Unit]
Description=Local NVMe disks at /scratch
After=local-fs.target dlami-nvme.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/fleetform-scratch

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --now fleetform-scratch.service ||
    echo "the local disks could not be joined at /scratch; jobs get a folder on the root disk instead" >&2
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
