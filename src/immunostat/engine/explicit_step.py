"""The functions of a kernel for an explicit Runge-Kutta method; see `step` for what each does.

The first stage of a step is left in place by what comes before it: by `restart` after a start or
an event, by `commit` after a step that was accepted, and by nothing after one that was not.
All of them take the rates by one function at the same numbers, so that a patient's bits do not
depend on which of them it was in the neighboring lanes.
"""

from __future__ import annotations

from immunostat.engine.layout import Layout
from immunostat.engine.methods.explicit_rk import ExplicitRungeKutta
from immunostat.engine.passes import Elimination, system_graph
from immunostat.engine.printer import Printer, hoisted_nodes
from immunostat.engine.step import SMALLEST_STATE, KernelText
from immunostat.engine.vector_ir import Function, Module
from immunostat.engine.vector_math import add_vector_math, reciprocal
from immunostat.model.system import OdeSystem


class ExplicitText(KernelText):
    """Writes the LLVM text of one system, explicit method and list of outputs."""

    entry_points = ("prepare", "initialise", "restart", "advance", "commit", "sample")

    def __init__(
        self, system: OdeSystem, outputs: tuple[str, ...], method: ExplicitRungeKutta, width: int
    ) -> None:
        self.system, self.explicit = system, method
        self.method = method  # type: ignore[assignment]  # the inherited parts read its orders
        self.equations = system_graph(system)
        self.output_nodes = [self.equations.names[name] for name in outputs]
        self.elimination = Elimination((), frozenset())
        roots = [*self.equations.rates, *self.equations.trial_rates, *self.output_nodes]
        nodes = hoisted_nodes(self.equations.graph, roots)
        self.layout = Layout(
            system.n_states, system.n_parameters, len(nodes), 0, len(outputs), method.n_stages
        )
        self.hoisted = {node: self.layout.hoisted + i for i, node in enumerate(nodes)}
        self.module = Module(width)

    def text(self) -> str:
        """The module."""
        add_vector_math(self.module)
        self._prepare()
        self._initialise()
        self._checked_rates()
        self._rates()
        self._first_step()
        self._advance()
        self._commit()
        self._sample()
        flags = 'attributes #0 = { nounwind "prefer-vector-width"="512" }'
        return self.module.text() + flags + "\n"

    def _checked_rates(self) -> None:
        """Rates at the new states and NEW_TIME, inputs included, to row %k on: the last stage.

        Where a step ends, a fractional power of a negative base is no number (see
        `passes.FormulaToGraph`); the step is then refused.
        """
        f, layout = Function(self.module), self.layout
        printer = self._printer(f, layout.new_state, layout.NEW_TIME)
        for i, rate in enumerate(printer.print(self.equations.rates)):
            f.store(f.add(rate, f.load(layout.input + i)), f.line(f"add nuw nsw i64 %k, {i}"))
        f.finish("checked_rates", is_internal=True, extra=", i64 %k")

    def _advance(self) -> None:
        f, layout, method = Function(self.module), self.layout, self.explicit
        n, last = self.system.n_states, method.n_stages - 1
        self._choose_length(f)
        taken = f.load(layout.TAKEN)
        for i in range(1, method.n_stages):
            is_last = i == last
            with f.rows_loop(n) as at:
                total = f.number(0.0)
                for j, weight in enumerate(method.a[i]):
                    total = f.fma(f.load(at(layout.stages + j * n)), f.number(weight), total)
                new = f.fma(taken, total, f.load(at(layout.state)))
                if is_last:
                    size = f.intrinsic("fabs", new)
                    is_tiny = f.compare("olt", size, f.number(SMALLEST_STATE))
                    new = f.select(is_tiny, f.number(0.0), new)
                f.store(new, at(layout.new_state if is_last else layout.trial))
            if is_last:
                f.do(f"call void @checked_rates(ptr %b, i64 {layout.stages + i * n})")
                continue
            shift = f.mul(taken, f.number(method.c[i]))
            f.store(f.add(f.load(layout.TIME), shift), layout.STAGE_TIME)
            f.do("call void @rates(ptr %b)")
            with f.rows_loop(n) as at:
                rate = f.add(f.load(at(layout.rate)), f.load(at(layout.input)))
                f.store(rate, at(layout.stages + i * n))
        self._judge(f)
        f.finish("advance")

    def _choose_length(self, f: Function) -> None:
        """Land on the stop; avoid a last step that is very short by taking two of equal length."""
        layout = self.layout
        time, step, stop = f.load(layout.TIME), f.load(layout.STEP), f.load(layout.STOP)
        left = f.sub(stop, time)
        is_last = f.compare("oge", step, f.mul(left, f.number(1.0 - 1e-6)))
        half = f.mul(left, f.number(0.5))
        taken = f.select(is_last, left, f.select(f.compare("ogt", step, half), half, step))
        f.store(f.select(is_last, stop, f.add(time, taken)), layout.NEW_TIME)
        is_active = f.compare("une", f.load(layout.ACTIVE), f.number(0.0))
        f.store(f.select(is_active, taken, f.number(1.0)), layout.TAKEN)

    def _judge(self, f: Function) -> None:
        """Error, acceptance and the next step's length."""
        layout, method, n = self.layout, self.explicit, self.system.n_states
        absolute, relative = f.load(layout.ABSOLUTE), f.load(layout.RELATIVE)
        taken = f.load(layout.TAKEN)
        sums = [f.number(0.0)] * min(4, n)
        for i in range(n):
            new = f.load(layout.new_state + i)
            error = f.number(0.0)
            for j, weight in enumerate(method.error):
                error = f.fma(f.load(layout.stages + j * n + i), f.number(weight), error)
            scale = reciprocal(f, f.fma(self._size(f, i), relative, absolute), 2)
            ratio = f.mul(f.mul(error, taken), scale)
            ratio = f.fma(new, f.number(0.0), ratio)  # a state that is not finite must count
            sums[i % len(sums)] = f.fma(ratio, ratio, sums[i % len(sums)])
        total = sums[0]
        for other in sums[1:]:
            total = f.add(total, other)
        mean = f.mul(total, f.number(1.0 / n))
        f.store(mean, layout.ERROR)
        self._control(f, mean)

    def _first_step(self) -> None:
        """The starting-step rule; then the first stage, in every lane."""
        super()._first_step()
        f, layout = Function(self.module), self.layout
        f.do("call void @first_step(ptr %b)")
        # a learned first step would come without this call, but the first stage needs it
        f.store(f.number(0.0), layout.IS_LEARNING)
        with f.rows_loop(self.system.n_states) as at:
            f.store(f.load(at(layout.state)), at(layout.new_state))
        f.store(f.load(layout.TIME), layout.NEW_TIME)
        f.do(f"call void @checked_rates(ptr %b, i64 {layout.stages})")
        f.finish("restart")

    def _commit(self) -> None:
        f, layout = Function(self.module), self.layout
        n = self.system.n_states
        last = layout.stages + (self.explicit.n_stages - 1) * n
        flag = f.mul(f.load(layout.FLAG), f.load(layout.ACTIVE))
        is_good = f.compare("une", flag, f.number(0.0))
        for old, new in ((layout.state, layout.new_state), (layout.stages, last)):
            with f.rows_loop(n) as at:
                f.store(f.select(is_good, f.load(at(new)), f.load(at(old))), at(old))
        f.store(f.select(is_good, f.load(layout.NEW_TIME), f.load(layout.TIME)), layout.TIME)
        f.finish("commit")

    def _sample(self) -> None:
        """Outputs from the dense output; at the ends of the step from its own states."""
        f, layout, method = Function(self.module), self.layout, self.explicit
        n = self.system.n_states
        theta = f.load(layout.THETA)
        is_start = f.compare("ole", theta, f.number(0.0))
        is_end = f.compare("oge", theta, f.number(1.0))
        weights = []
        for row in method.dense:
            weight = f.number(row[-1])
            for coefficient in reversed(row[:-1]):
                weight = f.fma(weight, theta, f.number(coefficient))
            weights.append(f.mul(weight, f.mul(theta, f.load(layout.TAKEN))))
        states: dict[int, str] = {}

        def state(i: int) -> str:
            if i not in states:
                old, new = f.load(layout.state + i), f.load(layout.new_state + i)
                value = old
                for j, weight in enumerate(weights):
                    value = f.fma(weight, f.load(layout.stages + j * n + i), value)
                states[i] = f.select(is_start, old, f.select(is_end, new, value))
            return states[i]

        def leaf(op: str, index: int) -> str:
            if op == "parameter":
                return f.load(layout.parameter + index)
            if op == "time":
                return f.load(layout.SAMPLE_TIME)
            return self._tolerance(f, state(index)) if op == "tolerance" else state(index)

        printer = Printer(f, self.equations.graph, leaf, self.hoisted)
        for i, value in enumerate(printer.print(self.output_nodes)):
            f.store(value, layout.output + i)
        f.finish("sample")
