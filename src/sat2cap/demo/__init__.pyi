from .metrics import headline_metrics as headline_metrics
from .run import run_demo as run_demo
