"""The images whose fetching reports an open, as markup.

Visible one-pixel images with an empty alt and no style: some readers skip hidden images (contract.md 5.5).
"""


def html(address: bytes) -> bytes:
    """Return the pixel of an HTML part, initial or final.

    `align` takes it out of the line (WHATWG HTML 15.4.3). Without it, it would begin a line of its own above
    the preheader or below the mail, as high as the text there: 19 to 35 px in a document with a doctype.
    """
    return b'<img src="' + address + b'" width="1" height="1" border="0" alt="" align="left">'


def amp(address: bytes) -> bytes:
    """Return the pixel of an AMP part, initial or final (contract.md 5.6)."""
    return b'<amp-img layout="fixed" width="1" height="1" alt="" src="' + address + b'"></amp-img>'
