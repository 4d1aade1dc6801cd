"""What acts told is put away after its time, once the record has what they were, and never before."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from console.acts import watch
from console.acts.folder import End
from console.acts.prune import EVENT, prune
from console.acts.spec import Up
from console.acts.watch import Place
from console.services import Services
from console.store import waiting
from fleet.ledger import LedgerError
from fleet.policy import Grant
from fleet.terraform_events import ProgressEvent
from tests.console.acting import going_on, standing
from tests.console.lab import ConsoleLab

pytestmark = pytest.mark.console
BLUE = Up(environment="blue")
NOW, LATER = datetime.timedelta(0), datetime.timedelta(days=1)


def kept_for(lab: ConsoleLab, time: datetime.timedelta) -> Services:
    """Return the console's parts with acts kept for so long."""
    return replace(lab.services, settings=replace(lab.services.settings, keep_acts=time))


def ended_act(lab: ConsoleLab) -> tuple[Place, str]:
    """Return an act that has told something and is done."""
    place = Place(lab.services.settings, lab.services.database)
    with going_on(place, lab.person(Grant("operator", "*")), BLUE) as act_id:
        place.folder(act_id).tell(ProgressEvent(kind="note", stack="blue", text="hello"))
        place.folder(act_id).finish(End.now("done"))
    assert standing(place, act_id).state == "done"
    return place, act_id


def test_an_act_of_long_ago_is_put_on_record_and_put_away(own_lab: ConsoleLab) -> None:
    place, act_id = ended_act(own_lab)
    told = hashlib.sha256((place.folder(act_id).path / "progress.jsonl").read_bytes()).hexdigest()
    prune(kept_for(own_lab, NOW))
    assert not place.folder(act_id).path.exists()
    with own_lab.services.database.reading() as database:
        (entry,) = [each for each in waiting.all_waiting(database) if each.event == EVENT]
    (about,) = entry.about["acts"]
    assert (about["act"], about["state"], about["told_sha256"]) == (act_id, "done", told)
    assert about["command"] == "fleetform up blue"
    found = standing(place, act_id)
    assert found.state == "done" and watch.news(place, act_id).steps == (), "how it ended is still known"


def test_what_is_younger_or_goes_on_stays(own_lab: ConsoleLab) -> None:
    place, young = ended_act(own_lab)
    prune(kept_for(own_lab, LATER))
    assert place.folder(young).path.exists()
    with going_on(place, own_lab.person(), BLUE) as act_id:
        prune(kept_for(own_lab, NOW))
        assert place.folder(act_id).path.exists() and not place.folder(young).path.exists()
    assert standing(place, act_id).state == "lost"
    prune(kept_for(own_lab, NOW))
    assert not place.folder(act_id).path.exists(), "and one that was killed goes with the rest"


def test_a_folder_that_no_row_knows_of_goes_too(own_lab: ConsoleLab) -> None:
    place = Place(own_lab.services.settings, own_lab.services.database)
    stray = place.acts / "0123456789abcdef"
    stray.mkdir(parents=True)
    prune(kept_for(own_lab, LATER))
    assert stray.exists()
    prune(kept_for(own_lab, -LATER))
    assert not stray.exists()


def test_nothing_is_put_away_that_can_not_be_put_on_record(
    own_lab: ConsoleLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, act_id = ended_act(own_lab)
    monkeypatch.setattr(own_lab.services.recorder, "record", refuse("the ledger is out of reach"))
    with pytest.raises(LedgerError):
        prune(kept_for(own_lab, NOW))
    assert place.folder(act_id).path.exists()


def refuse(why: str) -> Callable[..., None]:
    """Return what refuses whatever it is asked."""

    def refusing(*_: object, **__: object) -> None:
        raise LedgerError(why)

    return refusing
