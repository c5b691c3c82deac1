"""The part in C, for which setup.cfg has no words. Without a compiler, Python does the same in more time."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("engagement.links._open", ["engagement/links/_open.c"], optional=True),
        Extension("engagement.links._seal", ["engagement/links/_seal.c"], optional=True),
        Extension("smtpapi.find._walk", ["milter/smtpapi/find/_walk.c"], optional=True),
        Extension(
            "smtpapi.mime._quoted_printable", ["milter/smtpapi/mime/_quoted_printable.c"], optional=True
        ),
    ]
)
