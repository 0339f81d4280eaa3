from .calibration import calibrate as calibrate
from .captioner import load_caption_run as load_caption_run
from .captioner import train_captioner as train_captioner
from .data.ground_embeddings import ground_embeddings as ground_embeddings
from .loop import train as train
from .run import Run as Run
from .run import load_run as load_run
