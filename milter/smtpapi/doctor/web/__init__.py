"""Checks from outside in: names, certificates, the proxy in front of the tracker."""
