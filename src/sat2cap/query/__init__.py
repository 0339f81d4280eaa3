"""Text and time to a score for every cell of an atlas."""

from sat2cap.query.prompts import GENERIC
from sat2cap.query.score import Scale, check_model, one_prompt, score

__all__ = ["GENERIC", "Scale", "check_model", "one_prompt", "score"]
