"""NetworkSpec: the network that an environment stands in, its own or one that is there already."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import islice
from typing import Annotated, Literal

from pydantic import BeforeValidator, StringConstraints

from stacks.fields import Spec, setting
from stacks.setting_forms import listed

NAT_SUBNET_PREFIX = 28
"""Size of a public subnet, which holds a NAT gateway and nothing else: the smallest that a VPC takes."""
RECUT = "the block is cut anew, so every subnet would be replaced"


def parse_cidr(value: object) -> object:
    """Turn the text of a CIDR block into a network; anything else is left for the model to refuse.

    Raises ValueError, in words for the user, for a text that is no block or has host bits set.
    """
    if not isinstance(value, str):
        return value
    try:
        loose = IPv4Network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IPv4 block such as `10.20.0.0/16`") from error
    if "/" not in value or str(loose.network_address) != value.partition("/")[0]:
        raise ValueError(f"{value!r} is not the start of a block; the block around it is `{loose}`")
    return loose


Cidr = Annotated[IPv4Network, BeforeValidator(parse_cidr)]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]{8,17}$")]
ZoneName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]


class NetworkSpec(Spec):
    """The environment's private network."""

    cidr: Annotated[
        Cidr,
        setting(
            "Private IPv4 block of the network, /16 to /24, that no other environment uses; with `vpc_id` "
            "the block of that VPC",
            unit="CIDR block",
            change="refused",
            why="a network cannot be renumbered while anything stands in it",
        ),
    ]
    zones: Annotated[
        int,
        setting(
            "Availability zones the network spans, one private subnet in each; has no effect where "
            "`zone_names` or `subnet_ids` say which",
            unit="zones",
            change="refused",
            why=RECUT,
            ge=1,
            le=6,
        ),
    ] = 2
    zone_names: Annotated[
        tuple[ZoneName, ...],
        BeforeValidator(listed),
        setting(
            "The availability zones by name, where it matters which (a capacity reservation is bound to one);"
            " left out, the region's first ones. With `subnet_ids`, the zone of each",
            unit="",
            change="refused",
            why=RECUT,
            form="names of zones such as `us-east-1b`",
            max_length=6,
        ),
    ] = ()
    vpc_id: Annotated[
        str,
        setting(
            "An existing VPC to stand in, whose routes and NAT stay its owner's; left out, the environment "
            "gets its own",
            unit="",
            change="refused",
            why="nothing can move between networks",
            form="the id of a VPC, `vpc-0123456789abcdef0`",
            pattern=r"^(vpc-[0-9a-f]{8,17})?$",
        ),
    ] = ""
    subnet_ids: Annotated[
        tuple[SubnetId, ...],
        BeforeValidator(listed),
        setting(
            "The private subnets of that VPC to use, each in another zone; only with `vpc_id`",
            unit="",
            change="refused",
            why="nothing can move between networks",
            form="ids of subnets, `subnet-0123456789abcdef0`",
            max_length=6,
        ),
    ] = ()
    endpoints: Annotated[
        Literal["made", "existing"],
        setting(
            "Whether the environment makes the endpoints to AWS's services or uses those that the VPC of "
            "`vpc_id` has",
            unit="",
            change="free",
        ),
    ] = "made"
    nat: Annotated[
        Literal["none", "one", "per_zone"],
        setting(
            "NAT gateways, the way out to the internet: none, one for all zones, or one in each; with "
            "`vpc_id` none are made, and all but `none` lets nodes use the VPC's own way out",
            unit="",
            change="free",
            why="each costs money by the hour and by the gigabyte",
        ),
    ] = "none"
    closed: Annotated[
        bool,
        setting(
            "Whether nodes reach nothing but this environment's own things: no NAT, and endpoints that "
            "refuse buckets, keys and principals of other accounts; needs a VPC of its own",
            unit="",
            change="free",
        ),
    ] = False
    flow_logs: Annotated[
        Literal["none", "rejected", "all"],
        setting(
            "Which connections of the network are recorded in CloudWatch Logs: none, those refused, or all; "
            "has no effect with `vpc_id`, whose owner has them",
            unit="",
            change="free",
            why="they cost money by the gigabyte",
        ),
    ] = "none"
    flow_log_days: Annotated[
        Literal[7, 14, 30, 60, 90, 180, 365, 731],
        setting("Days that flow logs are kept; only with `flow_logs`", unit="days", change="free"),
    ] = 90

    @property
    def is_own(self) -> bool:
        """Whether the environment has a VPC of its own."""
        return not self.vpc_id

    @property
    def reaches_out(self) -> bool:
        """Whether nodes may use a way out to the internet."""
        return self.nat != "none"

    @property
    def zone_count(self) -> int:
        """How many zones, and private subnets, the environment has."""
        return len(self.subnet_ids) or len(self.zone_names) or self.zones

    def subnets(self) -> tuple[IPv4Network, ...]:
        """Return the private block of each zone: equal parts, of which the block's last one stays free."""
        return tuple(islice(self._parts(), self.zone_count))

    def public_subnets(self) -> tuple[IPv4Network, ...]:
        """Return a small block per zone for a NAT gateway, cut from the end of the network."""
        *_, last = self._parts()
        smallest = max(NAT_SUBNET_PREFIX, last.prefixlen)
        return tuple(islice(last.subnets(new_prefix=smallest), self.zone_count))

    def _parts(self) -> tuple[IPv4Network, ...]:
        """Cut the network into the least power of two that leaves a part over for public subnets.

        They are kept free even without NAT, so that it can be had later without a new cut.
        """
        return tuple(self.cidr.subnets(prefixlen_diff=self.zone_count.bit_length()))
