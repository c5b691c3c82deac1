"""The configuration: its grammar, every option declared once, and the value in force for each connection."""

from engagement.settings.errors import NoConfiguration, Problem, SettingsError
from engagement.settings.load import load_file, load_text
from engagement.settings.scopes import Scoped, Value, Where
from engagement.settings.settings import Settings

__all__ = [
    "NoConfiguration",
    "Problem",
    "Scoped",
    "Settings",
    "SettingsError",
    "Value",
    "Where",
    "load_file",
    "load_text",
]
