"""Streaming detectors of unusual points in one series of numbers. Decides nothing about alerts."""

from aegis_lib.anomaly.detection.detector import VERSION, Detector
from aegis_lib.anomaly.detection.model import USUAL, Parameters, Reason, Score

__all__ = ["USUAL", "VERSION", "Detector", "Parameters", "Reason", "Score"]
