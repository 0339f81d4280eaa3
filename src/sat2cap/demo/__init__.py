"""The whole story on the miniature world: pairs, training, atlases, maps, figures and a page."""

from sat2cap.demo.figures import headline
from sat2cap.demo.plan import CountryPlan, DemoPlan
from sat2cap.demo.run import run_demo

__all__ = ["CountryPlan", "DemoPlan", "headline", "run_demo"]
