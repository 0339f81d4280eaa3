"""Text and time to a score for every cell of an atlas."""

from sat2cap.query.engine.scan import Scan
from sat2cap.query.prompts import GENERIC, TEMPLATES
from sat2cap.query.scoring import Scale, check_model, one_prompt, score
from sat2cap.query.spread import score_with_spread

__all__ = ["GENERIC", "TEMPLATES", "Scale", "Scan", "check_model", "one_prompt", "score", "score_with_spread"]
