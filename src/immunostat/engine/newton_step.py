"""The function of a kernel that `steady_state` iterates: one linearly implicit Euler step.

newton    rates at the states, and the solution of (1/step - J) change = rate
slopes    the entries of J that are not zero everywhere
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from immunostat.engine.layout import Layout
from immunostat.engine.methods.rosenbrock import RODAS5P
from immunostat.engine.step import KernelText
from immunostat.engine.vector_ir import Function
from immunostat.engine.vector_math import add_vector_math
from immunostat.model.system import OdeSystem


@dataclass(frozen=True)
class NewtonIteration:
    """Names the kernel of a steady state among the methods that kernels are compiled for."""

    name: str = "Newton"


NEWTON = NewtonIteration()


class NewtonText(KernelText):
    """Writes the LLVM text of one system for its steady state.

    In a block, DIAGONAL holds 1/step and INVERSE_STEP and TAKEN hold 1 and 0; rates go to
    ``rate``, the change to the first of ``stages``, the slopes to ``output``.
    """

    entry_points = ("prepare", "initialise", "newton", "slopes")

    def __init__(
        self, system: OdeSystem, outputs: tuple[str, ...], method: NewtonIteration, width: int
    ) -> None:
        super().__init__(system, (), RODAS5P, width)
        self.layout = replace(self.layout, n_outputs=len(self.equations.jacobian))

    def text(self) -> str:
        """The module."""
        add_vector_math(self.module)
        self._prepare()
        self._initialise()
        self._first_stage()
        self._newton()
        self._slopes()
        flags = 'attributes #0 = { nounwind "prefer-vector-width"="512" }'
        return self.module.text() + flags + "\n"

    def _newton(self) -> None:
        f, layout = Function(self.module), self.layout
        printer = self._printer(f, layout.state, Layout.TIME)
        for i, rate in enumerate(printer.print(self.equations.rates)):
            f.store(f.add(rate, f.load(layout.input + i)), layout.rate + i)
        f.do(f"call void @first_stage(ptr %b, i64 {layout.stages})")
        f.finish("newton")

    def _slopes(self) -> None:
        f, layout = Function(self.module), self.layout
        printer = self._printer(f, layout.state, Layout.TIME)
        for i, slope in enumerate(printer.print(list(self.equations.jacobian.values()))):
            f.store(slope, layout.output + i)
        f.finish("slopes")
