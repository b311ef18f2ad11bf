"""The loop that carries lanes of patients through their schedules.

One call of `run_lanes` goes on until its budget of steps is used up or it needs more patients;
all that must survive to the next call stands in the block and in `lanes`. It is compiled once
by numba, as nothing in it depends on the model: the model's functions come as addresses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from immunostat.engine.layout import Layout

#: Columns of `lanes`: patient (-1 for none), next event, next sample, and counts of steps; then
#: the kind of the last events, and whether no step was accepted since.
PATIENT, EVENT, SAMPLE, ACCEPTED, REJECTED, REFUSED_NAN, KIND, IS_FRESH = range(8)
N_LANE_COLUMNS = 8

#: Two times closer than this, relative to their size (or to one day), are the same time.
SAME_TIME = 1e-9

#: A step shorter than this share of the time is lost in round-off.
LEAST_STEP = 4e-15

_OK, _STEP_TOO_SMALL, _TOO_MANY_STEPS, _NOT_FINITE = 0, 1, 2, 3
_ADD, _RATE, _SET, _REPLACE = 0, 1, 2, 3

#: Rows that `run_lanes` gets as an argument. They are no constants in it, as numba's cache on disk
#: would not notice a change of `layout`.
CONTROL_ROWS = (
    Layout.TIME, Layout.STEP, Layout.STOP, Layout.NEW_TIME, Layout.TAKEN, Layout.FLAG, Layout.ERROR,
    Layout.REJECTED, Layout.MASK, Layout.THETA, Layout.SAMPLE_TIME, Layout.FIRST_STEP,
    Layout.ACTIVE, Layout.LEARNED, Layout.IS_LEARNING,
)  # fmt: skip


@intrinsic
def _call_function(typing_context: Any, address: Any, block: Any) -> Any:
    """Call ``void (*address)(double *block)``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        builder.call(function, [builder.inttoptr(arguments[1], cgutils.voidptr_t)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


_call: Any = _call_function  # for mypy: numba calls it without the typing context


def _compiled(function: Any) -> Any:
    """Compile without the interpreter's lock, kept on disk where numba finds a place for it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder can be written: compiled anew in every process
        return njit(nogil=True)(function)


@_compiled
def _is_due(time: float, limit: float) -> bool:
    """Whether a time has come at `limit`."""
    return time <= limit + SAME_TIME * max(1.0, abs(limit))


@_compiled
def _apply_events(
    block: Any, rows: Any, lanes: Any, lane: int, last: int, now: float, events: Any, columns: Any
) -> bool:
    """Apply what is due in a lane; whether a parameter was changed.

    Where the events are of the same kind as those before (the same actions on the same targets:
    most often one more dose), the lane keeps the first step that it learned then.
    """
    event_times, event_values = events
    event_actions, event_targets = columns
    row_state, row_input, row_parameter, row_learned = rows
    index = lanes[lane, EVENT]
    is_changed = False
    kind = 0
    while index < last and _is_due(event_times[index], now):
        target, value = event_targets[index], event_values[index]
        action = event_actions[index]
        kind = (kind * 1_000_003 + 4 * target + action + 1) % 2_147_483_647
        if action == _ADD:
            block[row_state + target, lane] += value
        elif action == _RATE:
            block[row_input + target, lane] += value
        elif action == _SET:
            block[row_parameter + target, lane] = value
            is_changed = True
        else:
            block[row_state + target, lane] = value
        index += 1
    lanes[lane, EVENT] = index
    if kind != lanes[lane, KIND]:
        lanes[lane, KIND] = kind
        block[row_learned, lane] = 0.0
    return is_changed


@_compiled
def run_lanes(
    addresses: Any,
    layout: Any,
    control: Any,
    block: Any,
    lanes: Any,
    queue: Any,
    problem: Any,
    events: Any,
    columns: Any,
    results: Any,
    max_steps: int,
    budget: int,
    is_last: bool,
) -> int:
    """Carry lanes on; gives the number of patients finished.

    Parameters
    ----------
    addresses
        Of the kernel's functions, as in `step.ENTRY_POINTS`.
    layout
        First rows: state, new state, input, start, parameter, output.
    control
        The rows `CONTROL_ROWS`.
    block
        Memory of the lanes. Shape (row, lane).
    lanes
        State of each lane. Shape (lane, `N_LANE_COLUMNS`).
    queue
        Next patient and end of the patients to take.
    problem
        Parameters, initial states (no rows: take the model's), sample times, start (one number).
    events, columns
        Times and values; actions, targets and offsets of all patients' events.
    results
        Samples, final states, times reached, status, accepted, rejected.
    max_steps
        Steps allowed to one patient.
    budget
        Steps of the block to take in this call.
    is_last
        Whether no more patients will come after the queue: idle lanes then stay idle.
    """
    parameters, initial, times, begin = problem
    event_times = events[0]
    event_actions, event_targets, offsets = columns
    values, final_states, reached, status, accepted, rejected = results
    row_state, row_new, row_input, row_start, row_parameter, row_output = layout
    row_time, row_step, row_stop, row_new_time, row_taken, row_flag, row_error = control[:7]
    row_rejected, row_mask, row_theta, row_sample_time, row_first_step, row_active = control[7:13]
    row_learned, row_is_learning = control[13:]
    prepare, initialise, first_step = addresses[0], addresses[1], addresses[2]
    advance, commit, sample = addresses[3], addresses[4], addresses[5]
    address = block.ctypes.data
    width = block.shape[1]
    n_states, n_parameters = final_states.shape[1], parameters.shape[1]
    n_times, n_outputs = values.shape[1], values.shape[2]
    start = begin[0]
    end = times[n_times - 1] if n_times > 0 else start
    rows = (row_state, row_input, row_parameter, row_learned)
    needs = np.zeros(width, dtype=np.int64)  # 1: events are due, 2: a new patient, 3: ended
    finished = 0
    n_steps = 0
    while True:
        # 1. lanes without a patient take the next one
        is_loaded = False
        for lane in range(width):
            needs[lane] = 0
            block[row_mask, lane] = 0.0
            if lanes[lane, PATIENT] >= 0 or queue[0] >= queue[1]:
                continue
            patient = queue[0]
            queue[0] += 1
            lanes[lane, PATIENT] = patient
            lanes[lane, EVENT] = offsets[patient]
            lanes[lane, SAMPLE] = 0
            lanes[lane, ACCEPTED] = 0
            lanes[lane, REJECTED] = 0
            lanes[lane, REFUSED_NAN] = 0
            lanes[lane, KIND] = -1
            lanes[lane, IS_FRESH] = 0
            for j in range(n_parameters):
                block[row_parameter + j, lane] = parameters[patient, j]
            for i in range(n_states):
                block[row_input + i, lane] = 0.0
            block[row_mask, lane] = 1.0
            block[row_time, lane] = start
            block[row_active, lane] = 1.0
            needs[lane] = 2
            is_loaded = True
        if is_loaded:
            _call(initialise, address)
            _call(prepare, address)
            for lane in range(width):
                if needs[lane] == 2:
                    patient = lanes[lane, PATIENT]
                    for i in range(n_states):
                        if initial.shape[0] > 0:
                            block[row_state + i, lane] = initial[patient, i]
                        else:
                            block[row_state + i, lane] = block[row_start + i, lane]
                        # so that a patient whose time is up at once has a final state
                        block[row_new + i, lane] = block[row_state + i, lane]
                    block[row_new_time, lane] = start
                    block[row_taken, lane] = 1.0
                    block[row_flag, lane] = 1.0
        n_active = 0
        for lane in range(width):
            if lanes[lane, PATIENT] >= 0:
                n_active += 1
        is_short = n_active < width and not is_last
        if not is_loaded and (n_active == 0 or is_short or n_steps >= budget):
            break

        # 2. one step in every lane
        if not is_loaded:
            _call(advance, address)
            n_steps += 1
        for lane in range(width):
            patient = lanes[lane, PATIENT]
            if patient < 0:
                block[row_flag, lane] = 0.0
                continue
            if is_loaded:
                if needs[lane] != 2:
                    block[row_flag, lane] = 0.0
                continue
            if block[row_flag, lane] == 1.0:
                lanes[lane, ACCEPTED] += 1
                lanes[lane, REFUSED_NAN] = 0
                if lanes[lane, IS_FRESH] == 1:
                    lanes[lane, IS_FRESH] = 0
                    block[row_learned, lane] = block[row_step, lane] * block[row_is_learning, lane]
                continue
            lanes[lane, REJECTED] += 1
            error = block[row_error, lane]
            if error != error:
                lanes[lane, REFUSED_NAN] = 1
            least = LEAST_STEP * max(abs(block[row_time, lane]), 1e-3)
            if not block[row_step, lane] > least:
                needs[lane] = 3
                status[patient] = _NOT_FINITE if lanes[lane, REFUSED_NAN] else _STEP_TOO_SMALL

        # 3. samples that the step passed, from its dense output
        while True:
            is_sampling = False
            for lane in range(width):
                block[row_theta, lane] = -1.0
                patient = lanes[lane, PATIENT]
                if patient < 0 or block[row_flag, lane] != 1.0 or lanes[lane, SAMPLE] >= n_times:
                    continue
                moment = times[lanes[lane, SAMPLE]]
                limit = block[row_new_time, lane]
                # a sample within round-off of an event belongs before it
                is_stop = limit == block[row_stop, lane] or needs[lane] == 2
                if moment <= limit or (is_stop and _is_due(moment, limit)):
                    theta = (moment - block[row_time, lane]) / block[row_taken, lane]
                    if needs[lane] == 2:
                        theta = 0.0
                    elif moment >= limit:
                        theta = 1.0
                    block[row_theta, lane] = min(max(theta, 0.0), 1.0)
                    block[row_sample_time, lane] = moment
                    is_sampling = True
            if not is_sampling:
                break
            _call(sample, address)
            for lane in range(width):
                if block[row_theta, lane] >= 0.0:
                    patient, index = lanes[lane, PATIENT], lanes[lane, SAMPLE]
                    for o in range(n_outputs):
                        values[patient, index, o] = block[row_output + o, lane]
                    lanes[lane, SAMPLE] = index + 1

        # 4. the new states count; lanes at their stop get their events
        if not is_loaded:
            _call(commit, address)
        is_changed = False
        is_restarted = False
        for lane in range(width):
            patient = lanes[lane, PATIENT]
            if patient < 0 or needs[lane] == 3:
                continue
            is_new = needs[lane] == 2
            if not is_new and block[row_flag, lane] != 1.0:
                pass
            elif _is_due(end, block[row_time, lane]):
                needs[lane] = 3
                status[patient] = _OK
                continue
            elif is_new or block[row_time, lane] == block[row_stop, lane]:
                last = offsets[patient + 1]
                kinds, now = (event_actions, event_targets), block[row_time, lane]
                if _apply_events(block, rows, lanes, lane, last, now, events, kinds):
                    is_changed = True
                stop = end
                if lanes[lane, EVENT] < last:
                    stop = min(stop, event_times[lanes[lane, EVENT]])
                block[row_stop, lane] = stop
                block[row_rejected, lane] = 0.0
                lanes[lane, IS_FRESH] = 1
                if block[row_learned, lane] > 0.0:
                    block[row_step, lane] = block[row_learned, lane]
                else:
                    needs[lane] = 1
                    is_restarted = True
            if lanes[lane, ACCEPTED] + lanes[lane, REJECTED] >= max_steps:
                needs[lane] = 3
                status[patient] = _TOO_MANY_STEPS
        if is_changed:
            _call(prepare, address)
        if is_restarted:
            _call(first_step, address)
            for lane in range(width):
                if needs[lane] == 1:
                    block[row_step, lane] = block[row_first_step, lane]

        # 5. lanes that ended give their results
        for lane in range(width):
            if needs[lane] != 3:
                continue
            patient = lanes[lane, PATIENT]
            reached[patient] = block[row_time, lane]
            accepted[patient] = lanes[lane, ACCEPTED]
            rejected[patient] = lanes[lane, REJECTED]
            if status[patient] == _OK:
                for i in range(n_states):
                    final_states[patient, i] = block[row_state + i, lane]
            lanes[lane, PATIENT] = -1
            block[row_active, lane] = 0.0
            finished += 1
    return finished
