"""The images whose fetching tells of an open, as markup.

Visible one-pixel images with an empty alt and no style: some readers skip hidden images (contract.md 5.5).
The first pixel floats, so that it opens no line of its own above the preheader.
"""


def html(address: bytes) -> bytes:
    """The pixel at the end of an HTML part."""
    return b'<img src="' + address + b'" width="1" height="1" border="0" alt="">'


def html_initial(address: bytes) -> bytes:
    """The pixel right after the body tag: `align` takes it out of the line, so that spacing stays."""
    return b'<img src="' + address + b'" width="1" height="1" border="0" alt="" align="left">'


def amp(address: bytes) -> bytes:
    """Either pixel of an AMP part (contract.md 5.6)."""
    return b'<amp-img layout="fixed" width="1" height="1" alt="" src="' + address + b'"></amp-img>'
