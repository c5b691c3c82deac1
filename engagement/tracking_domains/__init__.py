"""Tracking domains that people enter: which there are, and the copy of them for filter and tracker."""
