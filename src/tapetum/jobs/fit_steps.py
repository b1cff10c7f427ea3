"""The steps of a fit that all methods share; each one keeps its result and is not repeated."""

from dataclasses import dataclass
from functools import partial

from tapetum.jobs.fit_delivery import Shipping
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.fit_result import CONTROLS, NETWORK, SELECTION, Controls, FitResult, FittedNetwork
from tapetum.jobs.fit_work import COMPARING, PACKAGING, TRAINING, FitWork, Method
from tapetum.progress import step

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """The steps of one fit."""

    work: FitWork
    method: Method

    def finish(self) -> None:
        """Do every step."""
        folder = self.work.folder
        self.method.prepare()
        chosen = folder.once(SELECTION, FittedNetwork, self.method.choose)
        self.method.stages.begin(TRAINING)
        self.work.train(NETWORK, chosen.architecture, self.method.recipe())
        controls = self.controls(chosen)
        self.method.stages.begin(PACKAGING)
        delivery = Shipping(self.work, self.method, chosen, controls).deliver()
        with step(self.work.progress, "writing the report"):
            fit = FitResult(self.work.path, self.work.request, chosen, controls, delivery)
            write_fit_report(fit, self.work.dataset, self.method.sections(fit), self.work.beside)
        folder.finish(delivery)

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Choose and train the networks for comparison."""
        if not self.work.request.controls:
            return Controls()
        self.method.stages.begin(COMPARING)
        make = partial(self.method.controls, chosen)
        controls = self.work.folder.once(CONTROLS, Controls, make)
        for control in controls.controls:
            for name, network in control.networks.items():
                self.work.train(name, network, self.method.recipe())
        return controls
