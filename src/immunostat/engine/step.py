"""The functions of a kernel, written as vector code: one whole step of a method, and what a
driver needs around it. Each takes the address of a block (see `layout`).

prepare     what depends on parameters alone
initialise  derived parameters and start values, in the lanes of MASK
first_step  the starting-step rule
advance     one step in every lane: accepted or not, and the next step's length
commit      takes over the new states where the step was accepted
sample      outputs at THETA of the step just tried, before `commit`
"""

from __future__ import annotations

from typing import ClassVar

from immunostat.engine.large import check_size
from immunostat.engine.layout import Layout
from immunostat.engine.methods.rosenbrock import Rosenbrock
from immunostat.engine.passes import Elimination, eliminate, start_graph, system_graph
from immunostat.engine.printer import Printer, hoisted_nodes
from immunostat.engine.vector_ir import Function, Module
from immunostat.engine.vector_math import add_vector_math, reciprocal
from immunostat.model.system import OdeSystem

#: Functions that a driver calls, in the order in which it gets their addresses.
ENTRY_POINTS = ("prepare", "initialise", "first_step", "advance", "commit", "sample")

SAFETY = 0.9
#: Multiple of the first step that the rule gives: it is cautious, and one too long is repeated.
FIRST_STEP_FACTOR = 2.0
LEAST_FACTOR, MOST_FACTOR = 0.2, 8.0
#: Factor after a step that was not finite: such a step says nothing about a good length.
NOT_FINITE_FACTOR = 0.1
#: A state of smaller magnitude becomes zero: denormal numbers slow the processor a hundredfold.
SMALLEST_STATE = 1e-200


class KernelText:
    """Writes the LLVM text of one system, method and list of outputs."""

    #: Functions in the order of `ENTRY_POINTS`; other methods name some of theirs differently.
    entry_points: ClassVar[tuple[str, ...]] = ENTRY_POINTS

    def __init__(
        self, system: OdeSystem, outputs: tuple[str, ...], method: Rosenbrock, width: int
    ) -> None:
        self.system, self.method = system, method
        self.equations = system_graph(system)
        graph = self.equations.graph
        self.output_nodes = [self.equations.names[name] for name in outputs]
        self.elimination = eliminate(system.n_states, self.equations.jacobian)
        check_size(system.name, self.equations, self.elimination)
        roots = [
            *self.equations.rates,
            *self.equations.trial_rates,
            *self.equations.jacobian.values(),
            *self.equations.by_time.values(),
            *self.output_nodes,
        ]
        nodes = hoisted_nodes(graph, roots)
        self.layout = Layout(
            system.n_states,
            system.n_parameters,
            len(nodes),
            len(self.elimination.pattern),
            len(outputs),
            method.n_stages,
        )
        self.hoisted = {node: self.layout.hoisted + i for i, node in enumerate(nodes)}
        self.slots = {place: i for i, place in enumerate(sorted(self.elimination.pattern))}
        self.module = Module(width)

    def text(self) -> str:
        """The module."""
        add_vector_math(self.module)
        self._prepare()
        self._initialise()
        self._first_stage()
        self._rates()
        self._stage()
        self._first_step()
        self._advance()
        self._commit()
        self._sample()
        flags = 'attributes #0 = { nounwind "prefer-vector-width"="512" }'
        return self.module.text() + flags + "\n"

    # leaves

    def _printer(self, f: Function, state_row: int, time_row: int) -> Printer:
        """Printer that takes states and time from given rows."""
        layout = self.layout

        def leaf(op: str, index: int) -> str:
            if op == "parameter":
                return f.load(layout.parameter + index)
            if op == "time":
                return f.load(time_row)
            if op == "tolerance":
                return self._tolerance(f, f.load(state_row + index))
            return f.load(state_row + index)

        return Printer(f, self.equations.graph, leaf, self.hoisted)

    def _tolerance(self, f: Function, state: str) -> str:
        size = f.intrinsic("fabs", state)
        return f.fma(size, f.load(self.layout.RELATIVE), f.load(self.layout.ABSOLUTE))

    # once per patient

    def _prepare(self) -> None:
        f, layout = Function(self.module), self.layout
        nodes = list(self.hoisted)

        def leaf(op: str, index: int) -> str:
            assert op == "parameter"
            return f.load(layout.parameter + index)

        values = Printer(f, self.equations.graph, leaf, {}).print(nodes)
        for node, value in zip(nodes, values, strict=True):
            if self.equations.graph.is_condition[node]:
                value = f.select(value, f.number(1.0), f.number(0.0))
            f.store(value, self.hoisted[node])
        f.finish("prepare")

    def _initialise(self) -> None:
        f, layout = Function(self.module), self.layout
        graph, derived, start = start_graph(self.system)

        def leaf(op: str, index: int) -> str:
            assert op == "parameter"
            return f.load(layout.parameter + index)

        values = Printer(f, graph, leaf, {}).print([*derived.values(), *start])
        mask = f.compare("une", f.load(layout.MASK), f.number(0.0))
        for index, value in zip(derived, values, strict=False):
            row = layout.parameter + index
            f.store(f.select(mask, value, f.load(row)), row)
        for i, value in enumerate(values[len(derived) :]):
            f.store(value, layout.start + i)
        f.finish("initialise")

    # parts of a step

    def _first_stage(self) -> None:
        """Factorization at the start of the step, and the first stage: rates are taken there."""
        f, layout, equations = Function(self.module), self.layout, self.equations
        printer = self._printer(f, layout.state, layout.TIME)
        jacobian = equations.jacobian
        roots = [*equations.rates, *equations.by_time.values(), *jacobian.values()]
        values = printer.print(roots)
        n, n_time = self.system.n_states, len(equations.by_time)
        self._factorize(f, dict(zip(jacobian, values[n + n_time :], strict=True)))
        # derivatives by time are first known here: `memory` holds none of them yet
        weight = f.mul(f.load(layout.TAKEN), f.number(self.method.d[0]))
        rates = values[:n]
        for i, slope in zip(equations.by_time, values[n:], strict=False):
            f.store(slope, layout.by_time + i)
            rates[i] = f.fma(weight, slope, rates[i])
        self._solve(f, rates)
        f.finish("first_stage", is_internal=True, extra=", i64 %k")

    def _factorize(self, f: Function, jacobian: dict[tuple[int, int], str]) -> None:
        """Sparse LU of diagonal - J; the reciprocals of the pivots stand on the diagonal."""
        layout, elimination = self.layout, self.elimination
        diagonal = f.load(layout.DIAGONAL)
        matrix: dict[tuple[int, int], str] = {}
        for (i, j), value in jacobian.items():
            matrix[i, j] = f.sub(diagonal, value) if i == j else f.neg(value)
        rows, columns = _neighbours(elimination)
        for pivot in elimination.order:
            inverse = f.div(f.number(1.0), matrix.get((pivot, pivot), diagonal))
            f.store(inverse, layout.factors + self.slots[pivot, pivot])
            for j in rows[pivot]:
                f.store(matrix[pivot, j], layout.factors + self.slots[pivot, j])
            for i in columns[pivot]:
                lower = f.mul(matrix[i, pivot], inverse)
                f.store(lower, layout.factors + self.slots[i, pivot])
                negative = f.neg(lower)
                for j in rows[pivot]:
                    before = matrix.get((i, j), diagonal if i == j else None)
                    if before is None:
                        matrix[i, j] = f.mul(negative, matrix[pivot, j])
                    else:
                        matrix[i, j] = f.fma(negative, matrix[pivot, j], before)

    def _stage(self) -> None:
        """One stage: rates at the trial states, then the linear system; result from row %k on."""
        f, layout = Function(self.module), self.layout
        printer = self._printer(f, layout.trial, layout.STAGE_TIME)
        rates = printer.print(self.equations.trial_rates)
        self._solve(f, rates)
        f.finish("stage", is_internal=True, extra=", i64 %k")

    def _solve(self, f: Function, rates: list[str]) -> None:
        """Right-hand side rate + input + memory / h; substitution forward and back."""
        layout, elimination = self.layout, self.elimination
        rows, columns = _neighbours(elimination)
        inverse = f.load(layout.INVERSE_STEP)
        x = [
            f.fma(f.load(layout.memory + i), inverse, f.add(rate, f.load(layout.input + i)))
            for i, rate in enumerate(rates)
        ]
        for pivot in elimination.order:
            for i in columns[pivot]:
                lower = f.load(layout.factors + self.slots[i, pivot])
                x[i] = f.fma(f.neg(lower), x[pivot], x[i])
        for pivot in reversed(elimination.order):
            value = x[pivot]
            for j in rows[pivot]:
                upper = f.load(layout.factors + self.slots[pivot, j])
                value = f.fma(f.neg(upper), x[j], value)
            x[pivot] = f.mul(value, f.load(layout.factors + self.slots[pivot, pivot]))
        for i, value in enumerate(x):
            f.store(value, f.line(f"add nuw nsw i64 %k, {i}"))

    def _rates(self) -> None:
        """Rates at the trial states and stage time."""
        f, layout = Function(self.module), self.layout
        printer = self._printer(f, layout.trial, layout.STAGE_TIME)
        for i, value in enumerate(printer.print(self.equations.trial_rates)):
            f.store(value, layout.rate + i)
        f.finish("rates", is_internal=True)

    # whole functions

    def _advance(self) -> None:
        f, layout, method = Function(self.module), self.layout, self.method
        n = self.system.n_states
        self._choose_length(f)
        for i in range(method.n_stages):
            self._combine(f, i)
            name = "stage" if i > 0 else "first_stage"
            f.do(f"call void @{name}(ptr %b, i64 {layout.stages + i * n})")
        self._judge(f)
        f.finish("advance")

    def _choose_length(self, f: Function) -> None:
        """Land on the stop; avoid a last step that is very short by taking two of equal length."""
        layout = self.layout
        time, step, stop = f.load(layout.TIME), f.load(layout.STEP), f.load(layout.STOP)
        left = f.sub(stop, time)
        is_last = f.compare("oge", step, f.mul(left, f.number(1.0 - 1e-6)))
        half = f.mul(left, f.number(0.5))
        is_near = f.compare("ogt", step, half)
        taken = f.select(is_last, left, f.select(is_near, half, step))
        f.store(f.select(is_last, stop, f.add(time, taken)), layout.NEW_TIME)
        is_active = f.compare("une", f.load(layout.ACTIVE), f.number(0.0))
        taken = f.select(is_active, taken, f.number(1.0))
        inverse = f.div(f.number(1.0), taken)
        f.store(taken, layout.TAKEN)
        f.store(inverse, layout.INVERSE_STEP)
        f.store(f.mul(inverse, f.number(1.0 / self.method.gamma)), layout.DIAGONAL)

    def _combine(self, f: Function, i: int) -> None:
        """What a stage takes from those before: trial states y + sum A k, and memory sum C k."""
        layout, method = self.layout, self.method
        taken = f.load(layout.TAKEN)
        by_time = f.mul(f.mul(taken, taken), f.number(method.d[i]))
        has_time = bool(self.equations.by_time) and i > 0 and method.d[i] != 0.0
        # rows of the last stages continue the row before
        is_continued = i > 1 and method.a[i][: i - 1] == method.a[i - 1]
        row = layout.trial if is_continued else layout.state
        with f.rows_loop(self.system.n_states) as at:
            stages = [f.load(at(layout.stages + j * self.system.n_states)) for j in range(i)]
            memory = f.number(0.0)
            for weight, k in zip(method.big_c[i], stages, strict=True):
                memory = f.fma(k, f.number(weight), memory)
            if has_time:
                memory = f.fma(by_time, f.load(at(layout.by_time)), memory)
            f.store(memory, at(layout.memory))
            trial = f.load(at(row))
            for j, (weight, k) in enumerate(zip(method.a[i], stages, strict=True)):
                if not is_continued or j == i - 1:
                    trial = f.fma(k, f.number(weight), trial)
            f.store(trial, at(layout.trial))
        shift = f.mul(taken, f.number(method.c[i]))
        f.store(f.add(f.load(layout.TIME), shift), layout.STAGE_TIME)

    def _judge(self, f: Function) -> None:
        """New states, error, acceptance and the next step's length."""
        layout, method, n = self.layout, self.method, self.system.n_states
        absolute, relative = f.load(layout.ABSOLUTE), f.load(layout.RELATIVE)
        sums = [f.number(0.0)] * min(4, n)
        last = layout.stages + (method.n_stages - 1) * n
        with f.rows_loop(n) as at:
            new = f.add(f.load(at(layout.trial)), f.load(at(last)))
            f.store(new, at(layout.new_state))
        for i in range(n):
            k, new = f.load(last + i), f.load(layout.new_state + i)
            size = self._size(f, i)
            # an error estimate needs no more than the 1e-5 of two rounds
            ratio = f.mul(k, reciprocal(f, f.fma(size, relative, absolute), 2))
            ratio = f.fma(new, f.number(0.0), ratio)  # a state that is not finite must count
            sums[i % len(sums)] = f.fma(ratio, ratio, sums[i % len(sums)])
        total = sums[0]
        for other in sums[1:]:
            total = f.add(total, other)
        error = f.mul(total, f.number(1.0 / n))
        f.store(error, layout.ERROR)
        self._control(f, error)

    def _size(self, f: Function, i: int) -> str:
        """Larger magnitude of a state before and after the step, or of what takes it up."""
        layout, states = self.layout, self.system.states
        rows = [i]
        if states[i] in self.system.passed_on:
            rows.append(states.index(self.system.passed_on[states[i]]))
        sizes = [
            f.intrinsic("fabs", f.load(start + row))
            for row in rows
            for start in (layout.state, layout.new_state)
        ]
        size = sizes[0]
        for other in sizes[1:]:
            size = f.maximum(size, other)
        return size

    def _control(self, f: Function, error: str) -> None:
        layout = self.layout
        is_good = f.compare("ole", error, f.number(1.0))
        # the plain rule: predictive ones took 20% to 50% more steps for the same error here.
        # The exponent is half of the textbook's, as the mean square stands for the error
        exponent = f.number(-0.5 / (self.method.error_order + 1))
        factor = f.call("power", exponent, f.call("log2p", error))
        factor = f.mul(factor, f.number(SAFETY))
        was_rejected = f.compare("une", f.load(layout.REJECTED), f.number(0.0))
        most = f.select(was_rejected, f.number(1.0), f.number(MOST_FACTOR))
        factor = f.maximum(f.minimum(factor, most), f.number(LEAST_FACTOR))
        is_number = f.compare("ord", error, error)
        factor = f.select(is_number, factor, f.number(NOT_FINITE_FACTOR))
        one, zero = f.number(1.0), f.number(0.0)
        f.store(f.mul(f.load(layout.TAKEN), factor), layout.STEP)
        f.store(f.select(is_good, one, zero), layout.FLAG)
        f.store(f.select(is_good, zero, one), layout.REJECTED)

    def _commit(self) -> None:
        f, layout = Function(self.module), self.layout
        flag = f.mul(f.load(layout.FLAG), f.load(layout.ACTIVE))
        is_good = f.compare("une", flag, f.number(0.0))
        with f.rows_loop(self.system.n_states) as at:
            new = f.load(at(layout.new_state))
            is_tiny = f.compare("olt", f.intrinsic("fabs", new), f.number(SMALLEST_STATE))
            new = f.select(is_tiny, f.number(0.0), new)
            f.store(f.select(is_good, new, f.load(at(layout.state))), at(layout.state))
        time = f.select(is_good, f.load(layout.NEW_TIME), f.load(layout.TIME))
        f.store(time, layout.TIME)
        f.finish("commit")

    def _sample(self) -> None:
        """Outputs from the dense output; at the ends of the step from its own states."""
        f, layout, method = Function(self.module), self.layout, self.method
        n = self.system.n_states
        theta = f.load(layout.THETA)
        rest = f.sub(f.number(1.0), theta)
        is_start = f.compare("ole", theta, f.number(0.0))
        is_end = f.compare("oge", theta, f.number(1.0))
        states: dict[int, str] = {}

        def state(i: int) -> str:
            if i in states:
                return states[i]
            old, new = f.load(layout.state + i), f.load(layout.new_state + i)
            stages = [f.load(layout.stages + j * n + i) for j in range(method.n_stages)]
            inner = f.number(0.0)
            for weights in reversed(method.dense):
                g = f.number(0.0)
                for weight, k in zip(weights, stages, strict=True):
                    g = f.fma(k, f.number(weight), g)
                inner = f.fma(theta, inner, g)
            value = f.fma(theta, f.fma(rest, inner, new), f.mul(rest, old))
            states[i] = f.select(is_start, old, f.select(is_end, new, value))
            return states[i]

        def leaf(op: str, index: int) -> str:
            if op == "parameter":
                return f.load(layout.parameter + index)
            if op == "time":
                return f.load(layout.SAMPLE_TIME)
            value = state(index)
            return self._tolerance(f, value) if op == "tolerance" else value

        printer = Printer(f, self.equations.graph, leaf, self.hoisted)
        for i, value in enumerate(printer.print(self.output_nodes)):
            f.store(value, layout.output + i)
        f.finish("sample")

    def _uses_time(self) -> bool:
        """Whether the rates use time itself."""
        graph = self.equations.graph
        return any(graph.ops[n] == "time" for n in graph.needed(self.equations.trial_rates))

    def _first_step(self) -> None:
        """Step after a start or an event: from the rates and how fast they change.

        With e the change of the rates along an Euler step, tau = |f| / |f'| is the time in which
        rates change, and the error of a step h of a method of order p is about
        (h / tau)**p |f| tau, all in units of the tolerance.
        """
        f, layout, n = Function(self.module), self.layout, self.system.n_states
        one = f.number(1.0)
        time = f.load(layout.TIME)
        left = f.sub(f.load(layout.STOP), time)
        f.store(time, layout.STAGE_TIME)
        with f.rows_loop(n) as at:
            f.store(f.load(at(layout.state)), at(layout.trial))
        f.do("call void @rates(ptr %b)")
        size, speed = f.number(0.0), f.number(0.0)
        for i in range(n):
            state = f.load(layout.state + i)
            rate = f.add(f.load(layout.rate + i), f.load(layout.input + i))
            f.store(rate, layout.stages + i)
            inverse = f.div(one, self._tolerance(f, state))
            f.store(inverse, layout.stages + n + i)
            x, v = f.mul(state, inverse), f.mul(rate, inverse)
            size, speed = f.fma(x, x, size), f.fma(v, v, speed)
        mean = f.number(1.0 / n)
        size = f.intrinsic("sqrt", f.mul(size, mean))
        speed = f.intrinsic("sqrt", f.mul(speed, mean))
        # an Euler step of a hundredth of the states, or of one tolerance where they are small
        probe = f.div(f.maximum(f.mul(size, f.number(0.01)), one), speed)
        # a forcing in time may be at rest now and seen only by looking near
        near = f.mul(left, f.number(1e-3 if self._uses_time() else 0.5))
        probe = f.minimum(probe, near)
        f.store(f.add(time, probe), layout.STAGE_TIME)
        with f.rows_loop(n) as at:
            moved = f.fma(probe, f.load(at(layout.stages)), f.load(at(layout.state)))
            f.store(moved, at(layout.trial))
        f.do("call void @rates(ptr %b)")
        change = f.number(0.0)
        for i in range(n):
            rate = f.add(f.load(layout.rate + i), f.load(layout.input + i))
            v = f.mul(f.sub(rate, f.load(layout.stages + i)), f.load(layout.stages + n + i))
            change = f.fma(v, v, change)
        change = f.div(f.intrinsic("sqrt", f.mul(change, mean)), probe)
        tau = f.div(speed, change)
        amplitude = f.mul(speed, tau)
        exponent = f.number(-1.0 / (self.method.error_order + 1))
        share = f.call("power", exponent, f.call("log2p", amplitude))
        step = f.mul(tau, f.minimum(f.mul(share, f.number(FIRST_STEP_FACTOR)), one))
        # no change of rates: any step is right; not a number: let the first step find out
        step = f.select(f.compare("ogt", step, f.number(0.0)), step, f.mul(left, f.number(1e-3)))
        at_rest = near if self._uses_time() else left
        step = f.select(f.compare("oeq", change, f.number(0.0)), at_rest, step)
        f.store(f.minimum(step, left), layout.FIRST_STEP)
        # where time itself drives the rates, the same dose at another time is another start
        f.store(f.number(0.0 if self._uses_time() else 1.0), layout.IS_LEARNING)
        f.finish("first_step")


def _neighbours(elimination: Elimination) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """For each pivot the later columns in its row and the later rows in its column."""
    position = {state: k for k, state in enumerate(elimination.order)}
    rows: dict[int, list[int]] = {p: [] for p in elimination.order}
    columns: dict[int, list[int]] = {p: [] for p in elimination.order}
    for i, j in sorted(
        elimination.pattern, key=lambda place: (position[place[0]], position[place[1]])
    ):
        if position[j] > position[i]:
            rows[i].append(j)
        elif position[j] < position[i]:
            columns[j].append(i)
    return rows, columns
