"""Pages that stand alone: one HTML file with its pictures inside, which needs no network."""

from sat2cap.report.page import render_page
from sat2cap.report.pictures import Picture

__all__ = ["Picture", "render_page"]
