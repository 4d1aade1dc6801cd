"""The start of a run: its settings, its processes, its directory, and who listens and writes from then on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from trainer.configs.settings import ConfigError, RunSettings
from trainer.configs.tables import read_values
from trainer.distributed import NoDeviceError, World, join_world
from trainer.engine.memory import NOTE
from trainer.engine.recorder import Recorder
from trainer.engine.stop import StopRequest
from trainer.engine.surroundings import BEGUN_AFRESH, Surroundings, begins_afresh, digest
from trainer.launch.pulse import Pulse


def settings_of(given: RunSettings | None, dials: dict[str, Any]) -> RunSettings:
    """Return the settings, given or with these fields; raises ConfigError with all that is wrong."""
    problems: list[str] = []
    if given is not None and dials:
        raise ConfigError([f"Run: settings=... says it all: put {', '.join(dials)} into it"])
    settings = given or RunSettings(**read_values(RunSettings, dials, problems))
    if problems := problems or list(settings.setting_faults()):
        raise ConfigError(problems)
    return settings


def default_run_dir() -> Path:
    """Return `runs/` and the script's name: the same for the same command, which therefore resumes."""
    return Path("runs") / (Path(sys.argv[0]).stem or "run")


def join(settings: RunSettings) -> tuple[Pulse, StopRequest, World]:
    """Join the other processes; raises ConfigError where the device is missing."""
    pulse = Pulse.open()
    if settings.hang_minutes != "auto":
        pulse.hang_after(settings.hang_minutes * 60)
    stop = StopRequest(pulse)
    try:
        return pulse, stop, join_world(settings.device)
    except NoDeviceError as error:
        raise ConfigError([str(error)]) from None


def surround(
    settings: RunSettings, world: World, run_dir: Path, identity: dict[str, Any], pulse: Pulse,
    stop: StopRequest, begun: float,
) -> Surroundings:  # fmt: skip
    """Return what the run has from here on; `begun` is when its own code began (epoch seconds)."""
    learned = {name: getattr(settings, name) for name in ("seed", "precision", "gradient_clip")} | identity
    afresh = False
    if world.is_main:
        run_dir.mkdir(parents=True, exist_ok=True)
        afresh = begins_afresh(settings, run_dir, learned)
        if afresh:
            (run_dir / NOTE).unlink(missing_ok=True)
            (run_dir / BEGUN_AFRESH).write_text(digest(learned))
        elif settings.fresh:
            print(
                f"fresh: going on with the run that was begun afresh ({run_dir / BEGUN_AFRESH})", flush=True
            )
    return Surroundings(
        afresh=bool(world.largest([afresh])[0]),
        settings=settings,
        world=world,
        run_dir=run_dir,
        identity=learned,
        pulse=pulse,
        stop=stop,
        recorder=Recorder(run_dir, world, begun),
    )
