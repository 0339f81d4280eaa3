from .estimate import cost as cost
from .estimate import measure as measure
from .job import embed_atlas as embed_atlas
from .job import embed_region as embed_region
from .plan import plan_atlas as plan_atlas
from .repair import fill_atlas as fill_atlas
