from .estimate import count_remaining_work as count_remaining_work
from .estimate import measure_throughput as measure_throughput
from .fixed_batches import NUMBERS_VERSION as NUMBERS_VERSION
from .job import embed_atlas as embed_atlas
from .job import embed_region as embed_region
from .plan import plan_atlas as plan_atlas
from .repair import fill_atlas as fill_atlas
