"""Who saves what: made once from everybody's tensors, the same on every process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainer.checkpoints.agree import gather
from trainer.checkpoints.dcp_metadata import metadata
from trainer.checkpoints.layout import Layout, Piece, digest_of, flatten, lay_out, pieces_of
from trainer.distributed import World


@dataclass(frozen=True)
class Plan:
    """What this rank saves, and what the others do as far as it has to know."""

    pieces: tuple[Piece, ...]
    """All that this rank holds."""
    layout: Layout
    """Those of them that it copies."""
    owners: dict[str, int]
    """Of each tensor that every process holds whole: the local rank that copies it, on each machine."""
    local_ranks: tuple[int, ...]
    """Local rank of each rank."""
    sharded: bool
    """Whether any tensor is held in parts."""
    resting: frozenset[str]
    """The tensors that nothing but the optimizer's update changes: parameters and moments."""
    digest: str
    """Tells apart the images of ranks and of states."""
    metadata: bytes
    """Content of the `.metadata` file; made on rank 0 alone."""

    @property
    def machines(self) -> list[int]:
        """The machine of each rank, named by its first rank."""
        return [rank - local for rank, local in enumerate(self.local_ranks)]

    def inventory(self) -> bytes:
        """Return as JSON the shape and the type of each tensor of which this rank holds any."""
        return json.dumps({each.name: [each.shape, each.dtype] for each in self.pieces}).encode()

    @property
    def writes(self) -> bool:
        """Whether this rank has files to write."""
        return bool(self.layout.extents)


@dataclass(frozen=True)
class _Holding:
    """What one rank holds."""

    local_rank: int
    sharded: tuple[Piece, ...]
    replicated_digest: str


def make_plan(state: Mapping[str, Any], world: World, parameters: Set[str] = frozenset()) -> Plan:
    """Return the plan of a state (nested dictionaries of tensors); every process calls it at once.

    `parameters` are the tensors that nothing but the optimizer's update changes, as its own moments.

    Tensors that every process holds whole are copied by the ranks of each machine, a share each, so that
    each machine's memory has all of them; the ranks of rank 0's machine write theirs. A shard is copied and
    written by one of the ranks that hold it.
    """
    paths = flatten(state)
    flat = {name: tensor for name, (_, tensor) in paths.items()}
    mine = [piece for piece, _ in pieces_of(flat)]
    replicated = tuple(piece for piece in mine if not piece.sharded)
    sharded = tuple(piece for piece in mine if piece.sharded)
    held = gather(_Holding(world.local_rank, sharded, str(hash_of(replicated))), world)
    assert len({each.replicated_digest for each in held}) == 1, "all processes hold the same whole tensors"
    local_ranks = tuple(each.local_rank for each in held)
    resting = moments_of(name for name in flat) | parameters
    owners = _share(replicated, sum(rank == local for rank, local in enumerate(local_ranks)), resting)
    shards = _share_shards([each.sharded for each in held])
    ranks = range(len(held)) if world.rank == 0 else [world.rank]
    layouts = {rank: _layout(rank, local_ranks[rank], replicated, owners, shards[rank]) for rank in ranks}
    layout = layouts[world.rank]
    return Plan(
        pieces=tuple(mine),
        layout=layout,
        owners=owners,
        local_ranks=local_ranks,
        sharded=any(each.sharded for each in held),
        resting=resting,
        digest=digest_of(layout, world.rank, local_ranks, sorted(owners.items())),
        metadata=metadata(layouts, {n: p for n, (p, _) in paths.items()}) if world.rank == 0 else b"",
    )


def moments_of(names: Iterable[str]) -> frozenset[str]:
    """Return the tensors of an optimizer among those names."""
    return frozenset(name for name in names if name.startswith("optimizer."))


def hash_of(pieces: Sequence[Piece]) -> str:
    """Return a digest of pieces."""
    return digest_of(Layout((), (), 0), pieces)


def _share(pieces: Sequence[Piece], num_owners: int, alike: Set[str]) -> dict[str, int]:
    """Deal the pieces to owners 0 to num_owners - 1, largest first, each to who has least.

    All processes have the same values of those that are `alike`. Of others, as the running means of a
    BatchNorm, each has its own, and rank 0's are the ones to save.
    """
    loads, owners = [0] * max(1, num_owners), {}
    for piece in sorted(pieces, key=lambda piece: (-piece.num_bytes, piece.name)):
        owner = loads.index(min(loads)) if piece.name in alike else 0
        loads[owner] += piece.num_bytes
        owners[piece.name] = owner
    return owners


def _share_shards(held: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Return the shards that each rank copies: each goes to who has least of those that hold it."""
    holders: dict[Piece, list[int]] = {}
    for rank, pieces in enumerate(held):
        for piece in pieces:
            holders.setdefault(piece, []).append(rank)
    loads, shares = [0] * len(held), [[] for _ in held]  # type: list[int], list[list[Piece]]
    for piece, ranks in holders.items():
        rank = min(ranks, key=lambda rank: loads[rank])
        loads[rank] += piece.num_bytes
        shares[rank].append(piece)
    return shares


def _layout(
    rank: int, local_rank: int, replicated: Sequence[Piece], owners: Mapping[str, int], shards: list[Piece]
) -> Layout:
    """Return a rank's image: its shards, and its share of what all hold, which rank 0's machine writes."""
    share = [piece for piece in replicated if owners[piece.name] == local_rank]
    on_first_machine = rank == local_rank
    return lay_out(rank, [*shards, *share], []) if on_first_machine else lay_out(rank, shards, share)


def local_numbers(state: Mapping[str, Any], plan: Plan) -> list[Tensor] | None:
    """Return this process's own numbers of each piece that it copies, in the order of its layout.

    None where the state has other tensors than it was planned for.
    """
    flat = {name: tensor for name, (_, tensor) in flatten(state).items()}
    held = {(piece.name, piece.offsets): (piece, numbers) for piece, numbers in pieces_of(flat)}
    if tuple(piece for piece, _ in held.values()) != plan.pieces:
        return None
    return [held[each.piece.name, each.piece.offsets][1] for each in plan.layout.placed]
