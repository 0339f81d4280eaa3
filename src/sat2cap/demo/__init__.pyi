from .metrics import headline_metrics as headline_metrics
from .plan import DemoPlan as DemoPlan
from .plan import quick_plan as quick_plan
from .run import run_demo as run_demo
