from .figures import headline as headline
from .run import run_demo as run_demo
