"""Whether a stored state can be taken up by this judge, and what is left of one that can't.

A state goes on only under the models, configuration and calibration that made it, with all its clean frames. What
is left of a refused one is what outlives a run: its calibration, which `Pipeline` keeps while it fits, and the
episodes that were open, so that the first frame closes them as it would those of an earlier run.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..alarms.calibration import Calibration
from ..judging.state import JudgeState
from .stored_state import Found, StoredState

NO_RUN = ""  # no frame's run: the next frame begins one


def resumed(
    found: Found, given: Calibration | None, models_id: str, configuration_id: str
) -> tuple[JudgeState | None, str]:
    """The state to go on from (None: nothing is known) and why the stored one was refused ("": it was not).

    `given` is the calibration that the configuration names for the stream.
    """
    stored = found.stored
    if stored is None:
        left = JudgeState(found.stream_id, NO_RUN, calibration=found.calibration) if found.calibration else None
        return left, "format" if found.problem else ""
    calibration = found.calibration
    if given is not None and given.calibration_id == stored.calibration_id:
        calibration = given
    cause = _refusal(stored, calibration, given, models_id, configuration_id)
    if cause:
        return replace(stored.state, run_id=NO_RUN, clean=(), calibration=calibration), cause
    return replace(stored.state, calibration=calibration if stored.calibration_id else None), ""


def _refusal(
    stored: StoredState, calibration: Calibration | None, given: Calibration | None, models_id: str, config_id: str
) -> str:
    if stored.models_id != models_id:
        return "models"
    if stored.configuration_id != config_id:
        return "configuration"
    if stored.calibration_id and (calibration is None or calibration.calibration_id != stored.calibration_id):
        return "calibration"
    if given is not None and given.calibration_id != stored.calibration_id and _fits(given, stored, calibration):
        return "calibration"  # the configuration has named another file since
    if len(stored.state.clean) != stored.clean_frames:
        return "clean_frames"
    return ""


def _fits(given: Calibration, stored: StoredState, calibration: Calibration | None) -> bool:
    """Whether `given` is for pictures of the stream's size; where the size is not known, it is taken to be."""
    clean = stored.state.clean
    if clean:
        return clean[0].observation.size == (given.origin.width, given.origin.height)
    if calibration is not None and stored.calibration_id:
        return (calibration.origin.width, calibration.origin.height) == (given.origin.width, given.origin.height)
    return True
