"""Mails with odd MIME, made from a seed: what readers may take in two ways, and beside it what is common.

Each mail is ordinary but for a few odd things, so that most of them are still worth tracking if they are not
recognised as doubtful. `mail(number)` is always the same mail.
"""

import base64
import binascii
from collections.abc import Sequence
from random import Random

_URLS = (
    "https://shop.example/reset?id=17&token=abc",
    "http://www.shop.example/",
    "https://shop.example/a/very/long/path/that/goes/on/and/on?with=a&query=that&is=long&and=longer#part",
    "https://shop.example/--b--",
    "https://shop.example/x?=3D17",
)
_VOCABULARY = (
    "Hello",
    "reset",
    "größer",
    "annual report",
    "--b",
    "--",
    "=3D",
    "…",
    "日本",
    "From here",
    ".",
    "x" * 70,
)
_KINDS = (
    "alternative",
    "alternative",
    "mixed",
    "mixed",
    "related",
    "report",
    "signed",
    "digest",
    "x-odd",
    "parallel",
)
_BOUNDARIES = (
    "b",
    "b1",
    "b2",
    "bb",
    "=_b",
    "----=_Part_1.2",
    "q",
    "a b",
    "outer",
    "out",
    "(b)",
    "b?:/'",
    "x" * 69,
    "x" * 120,
)
# Parameters for a boundary, as they are written. {0}: the boundary.
_ODD_BOUNDARIES = (
    "boundary='{0}'",
    'boundary="{0} "',
    'boundary=" {0}"',
    "boundary={0} (c)",
    "boundary=(c){0}",
    "boundary={0};boundary={0}",
    "boundary=z;boundary={0}",
    "boundary={0};boundary=z",
    "boundary*=us-ascii''{0}",
    "boundary*0={0}",
    "boundary*0=;boundary*1={0}",
    "boundary*0*=''{0}",
    'boundary*1="{0}";boundary*0=""',
    'boundary="\\{0}"',
    "boundary =\t{0}",
    'boundary="{0}"x',
    'boundary="{0}',
    'boundary={0}"',
    "BOUNDARY={0}",
    "boundary",
    "boundary=",
    'boundary="{0}";',
    "x=y boundary={0}",
    "boundary={0} x=y",
    "boundary=\r\n {0}",
    'boundary="{0}\r\n "',
    "boundary=é{0}",
    "boundary=?{0}",
    "boundary=\\{0}",
    "boundary==?us-ascii?q?{0}?=",
    'charset="; boundary=z"; boundary={0}',
    "boundary: {0}",
    "boundary={0},",
    "bound\x00ary={0}",
    "boundary={0}\x00",
    "boundary={0}\xa0",
    "; boundary={0}",
    'name="a;b"; boundary={0}',
    "comment=(;boundary=z); boundary={0}",
    'x="\\"; boundary=z"; boundary={0}',
)
_ODD_TYPES = (
    "TEXT/HTML",
    "text / html",
    "text/html;",
    "text/html; charset",
    "text/html charset=utf-8",
    "text",
    "html",
    '"text/html"',
    "text/html (c)",
    "(c) text/html",
    "(c;) text/plain",
    "text/html, text/plain",
    "=?us-ascii?q?text/html?=",
    "text/html\0",
    "text/htm",
    "text/html;;",
    ";text/html",
    "text/",
    "/html",
    "text//html",
    "text/html/x",
    "text\\/html",
    "text/html'",
    "text\xa0/html",
    "\ufefftext/html",
    "text/html\r\n\t;",
    "text/\r\n html",
    "text(c)/html",
    "text/plain(c)",
    "text/plain; format=flowed",
    "text/plain; format=flowed; delsp=yes",
    "text/html; format=flowed; delsp=yes",
    "message/rfc822",
    "multipart/mixed",
    "application/octet-stream",
    "text/x-amp-html",
    "text/enriched",
    "Text/Plain; Charset=US-ASCII (Plain text)",
    "\ttext/html",
    "text/html  ",
    "text/html\t;\tx=y",
    "multipart",
    "multipart/",
    "application/xhtml+xml",
)
_ODD_CHARSETS = (
    "charset=utf-8",
    'charset="utf-8"',
    "charset='utf-8'",
    "charset=utf8",
    "charset=us-ascii",
    "charset=iso-8859-1",
    "charset=utf-8 (c)",
    "charset=(c)utf-8",
    'charset="utf-8',
    "charset=utf-16",
    "charset=utf-16le",
    "charset=utf-7",
    "charset*=us-ascii'en'utf-8",
    "charset*0=utf;charset*1=-8",
    "charset=utf-8;charset=utf-16",
    "charset=utf-16;charset=utf-8",
    "charset=",
    "charset = utf-8",
    'charset="ut\\f-8"',
    "charset==?us-ascii?q?utf-8?=",
    "charset=iso-2022-jp",
    "charset=shift_jis",
    "charset=hz-gb-2312",
    "charset=unknown-8bit",
    "charset=x-user-defined",
    "charset=windows-1252",
    "charset=\"utf-8\"; charset*=''utf-16",
    "charset=utf-16; x=y",
    "charset=utf-8, utf-16",
    "charset=ucs-2",
    "charset=cp037",
    "charset=utf-32",
    "charset=utf-7;charset=utf-8",
    "charset=utf-8\x00",
    "charset=utf-8\xa0",
    "charset=ut\r\n f-8",
    "charset:utf-16",
    "Charset=UTF-16BE",
    "charset=iso-10646-ucs-2",
    "charset=unicode",
)
_ODD_ENCODINGS = (
    '"{0}"',
    "{0} (c)",
    "(c) {0}",
    "(c){0}",
    "{0};",
    "{0}; x=y",
    "{0} {0}",
    "x-{0}",
    "{0}x",
    "{0},7bit",
    "7bit,{0}",
    "7bit {0}",
    "{0}\xa0",
    "{0}\x00",
    "'{0}'",
    "={0}",
    "=?us-ascii?q?{0}?=",
    "\t{0}\t",
    "\r\n {0}",
    "{0}\r\n ",
    "({0}) 7bit",
    "7bit ({0})",
    "(a) 7bit ({0})",
    "{0}(",
    "",
    "8-bit",
    "quoted_printable",
    "base_64",
    "quoted-printable.",
    "b",
    "q",
    "uuencode",
    "x-uue",
    "utf-8",
    "binary",
    "7BIT",
    "none",
    "quoted printable",
    "quotedprintable",
    "base64-printable",
    "\\{0}",
    "{0}:",
    ":{0}",
    "encoding={0}",
    "<{0}>",
    "{0}\x0b",
    "\ufeff{0}",
    "\x0c{0}",
    "7bit;{0}",
    "{0}/x",
)
_ODD_DISPOSITIONS = (
    "inline",
    "inline; filename=r.html",
    "attachment",
    "ATTACHMENT",
    "attachment ; filename=r.txt",
    '"attachment"',
    "(c) attachment",
    "inline (attachment)",
    "attached",
    "; filename=r.html",
    "inline;attachment",
    "form-data",
    "=?us-ascii?q?attachment?=",
    "",
    "attachment\x00",
    "attachment;",
    "'attachment'",
    "inline, attachment",
    "attachment, inline",
    "inline attachment",
    "attachment(c)",
    "\r\n attachment",
    "inline; filename*=utf-8''r.html",
    "inline; filename*0=r.; filename*1=html",
    "filename=r.html",
    "attachment/x",
    "inline; name=r.html",
    "att\r\n achment",
    "attachment\xa0",
    'inline;\r\n filename="r.html"',
    'inline; filename=""',
)
_ODD_LINES = (
    'charset="utf-8"',
    "no field here",
    "X-Odd",
    ":",
    ": v",
    " : v",
    "From me Mon",
    ">From me",
    "--",
    "--x: y",
    "X-é: v",
    "With Blank: x",
    "\x00: a",
    "\ufeffContent-Transfer-Encoding: base64",
    "Content-Transfer-Encoding",
    "Content Type: text/plain",
    "Content_Type: text/plain",
    "Content-Type; text/plain",
    "Content-Transfer-Encoding=base64",
    "(c) Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding\x0b: base64",
    "\x0bContent-Transfer-Encoding: base64",
    "\xa0Content-Transfer-Encoding: base64",
    "POST / HTTP/1.0",
    " ",
    "\t",
    "\r",
    " folded",
    "\tcharset=utf-16",
    "=",
    "X:y\rContent-Transfer-Encoding: base64",
    "X: y\x00z",
    "Content-Transfer-Encoding\t: base64",
    "Content-Type : text/plain",
    "X-Long: " + "y" * 1200,
    "X-Many: " + "\r\n y" * 30,
    "Content-Transfer-Encoding:base64",
    "X: (",
    'X: "',
    "Content-Length: 5",
    "Content-MD5: AAAA",
    "Content-ID: <root@x>",
    "content-location: x",
    "MIME-Version: 1.0",
    "Content-Description: --b",
    "Content-Language: en",
    "Content-Encoding: base64",
    "X\r\n: y",
    "Content-Transfer-Encoding:\r\n\tbase64",
    "X: y\x0cz",
    "X: y\u2028z",
    "X: y\x85z",
)
_BLANKS = (" ", "\t", "\r", "\x0b", "\x0c", "", "\xa0", "\x00")
_DELIMITED = (
    "--{0} ",
    "--{0}\t",
    "--{0}x",
    " --{0}",
    "--{0}\r",
    "-- {0}",
    "--{0}--",
    "--{0}-",
    "--{0}--x",
    "--{0} --",
    "--{0}-- ",
    "-{0}",
    "{0}",
    "---{0}",
    "--{0}--\r",
    "--{0} x",
    "--{0}\x00",
    "\r--{0}",
    "x\r--{0}",
    "--{0}\x0b",
    "--{0}\xa0",
    ">--{0}",
    '--"{0}"',
    "--{0}(c)",
    "--{0};",
    "--{0}" + " " * 1200,
)
ENCODINGS = ("7bit", "8bit", "quoted-printable", "quoted-printable", "base64", "binary", "")


class _Maker:
    """One mail under way. oddness: how likely a single choice is an odd one."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self.odd_left = self.random.choice((0, 1, 1, 1, 2, 2, 3, 6))
        self.places = self.random.uniform(0.02, 0.3)

    def odd(self, more: float = 1.0) -> bool:
        """Whether something odd happens here."""
        if self.odd_left and self.random.random() < self.places * more:
            self.odd_left -= 1
            return True
        return False

    def pick(self, choices: Sequence[str]) -> str:
        return self.random.choice(choices)

    def entity(self, depth: int, outer: Sequence[str], fields: Sequence[str] = ()) -> str:
        """Header and body; the body ends without a line end."""
        if depth < 3 and self.random.random() < (0.75 if depth == 0 else 0.25):
            return self.multipart(depth, outer, fields)
        return self.leaf(fields)

    def header(self, fields: list[str]) -> str:
        """The fields with their odd neighbours, and the line that ends them."""
        if len(fields) > 1 and self.random.random() < 0.3:
            self.random.shuffle(fields)
        if self.odd(2):
            fields.insert(self.random.randrange(len(fields) + 1), self.pick(_ODD_LINES))
        if self.odd() and fields:
            fields.append(self.pick(fields))
        if self.odd(0.5) and fields:
            at = self.random.randrange(len(fields))
            fields[at] = self.mangled(fields[at])
        blank = self.pick(_BLANKS) if self.odd(0.5) else ""
        end = "" if self.odd(0.2) else blank + "\r\n"
        return "".join(field + "\r\n" for field in fields) + end

    def mangled(self, field: str) -> str:
        """A field that is written oddly as a whole."""
        match self.random.randrange(8):
            case 0:
                return field.upper()
            case 1:
                return field.replace(": ", ":", 1)
            case 2:
                return field.replace(":", " :", 1)
            case 3:
                return field.replace("; ", ";\r\n", 1)
            case 4:
                return field.replace(";", "\r\n\t;", 1)
            case 5:
                return field.replace(" ", "\r\n  ", 1)
            case 6:
                return " " + field
            case _:
                at = self.random.randrange(len(field) + 1)
                return (
                    field[:at]
                    + self.pick(("\x00", "\r", "\n", "\r\n", "\t", "é", "(c)", '"', ";", "\\", " \r\n "))
                    + field[at:]
                )

    def multipart(self, depth: int, outer: Sequence[str], fields: Sequence[str]) -> str:
        random = self.random
        boundary = self.pick(_BOUNDARIES) + (str(depth) if random.random() < 0.9 else "")
        if outer and self.odd():
            boundary = self.pick((outer[-1], outer[-1] + "x", outer[-1][:-1], outer[-1].upper(), outer[0]))
        kind = self.pick(_KINDS if self.odd(2) else _KINDS[:5])
        quoted = f'boundary="{boundary}"'
        parameter = self.pick(_ODD_BOUNDARIES).format(boundary) if self.odd() else quoted
        if kind == "related" and random.random() < 0.5:
            parameter += self.pick(
                ('; start="<root@x>"', "; start=<root@x>", '; type="text/html"', "; start=root@x")
            )
        lines = [*fields, f"Content-Type: multipart/{kind}; {parameter}"]
        if self.odd(0.5):
            lines.append(
                "Content-Transfer-Encoding: "
                + self.pick(("7bit", "8bit", "base64", "quoted-printable", "binary", "x"))
            )
        body = self.header(lines)
        if random.random() < 0.3:
            body += self.pick(
                ("This is MIME.\r\n", "\r\n", "--not\r\n", f"see --{boundary}\r\n", f"-{boundary}\r\n")
            )
        inside = (*outer, boundary)
        for number in range(random.choice((1, 2, 2, 2, 3))):
            if number or random.random() < 0.5:
                body += "\r\n" if not body.endswith("\r\n\r\n") or number else ""
            body += self.delimiter(f"--{boundary}", boundary) + "\r\n"
            body += self.entity(depth + 1, inside)
        if not self.odd():
            body += "\r\n" + self.delimiter(f"--{boundary}--", boundary)
        if random.random() < 0.2:
            body += self.pick(
                (
                    "\r\n",
                    "\r\nepilogue https://shop.example/e\r\n",
                    f"\r\n--{boundary}\r\n\r\nafter https://shop.example/e\r\n",
                    "\r\n--",
                )
            )
        return body

    def delimiter(self, default: str, boundary: str) -> str:
        return self.pick(_DELIMITED).format(boundary) if self.odd(0.7) else default

    def leaf(self, fields: Sequence[str]) -> str:
        random = self.random
        kind = self.pick(("text/html", "text/html", "text/html", "text/plain", "text/plain", "image/png"))
        charset = self.pick(("utf-8", "utf-8", "us-ascii", "iso-8859-1"))
        parameter = self.pick((f"charset={charset}", f'charset="{charset}"', ""))
        if self.odd(1.5):
            parameter = self.pick(_ODD_CHARSETS)
        declared_kind = self.pick(_ODD_TYPES) if self.odd(1.5) else kind
        text = self.document() if "html" in declared_kind.lower() or kind == "text/html" else self.text()
        if self.odd(0.3):
            text = text.replace("\r\n", self.pick(("\n", "\r", "\r\r\n", "\r\n\x00")), 3)
        codec = "iso-8859-1" if charset == "iso-8859-1" else "utf-8"
        data = text.encode(codec, "replace")
        encoding = self.pick(ENCODINGS)
        lines = [*fields]
        if random.random() < 0.95:
            glue = self.pick((";", "; ", ";\r\n\t", ";\r\n ", " ; "))
            lines.append(
                f"Content-Type: {declared_kind}{glue + parameter if parameter else ''}" + self.name("name")
            )
        body = self.encoded(data, encoding)
        if encoding or random.random() < 0.5:
            declared_encoding = (
                self.pick(_ODD_ENCODINGS).format(encoding)
                if self.odd(1.5)
                else encoding.upper()
                if random.random() < 0.1
                else encoding
            )
            lines.append(f"Content-Transfer-Encoding: {declared_encoding}")
        if self.odd(1.5):
            lines.append("Content-Disposition: " + self.pick(_ODD_DISPOSITIONS))
        elif random.random() < 0.15:
            lines.append(
                "Content-Disposition: " + self.pick(("inline", "attachment")) + self.name("filename")
            )
        if random.random() < 0.2:
            lines.append(
                self.pick(
                    ("Content-ID: <root@x>", "Content-ID: <other@x>", "Content-Description: x", "X-Mailer: y")
                )
            )
        return self.header(lines) + body.decode("latin-1")

    def name(self, key: str) -> str:
        if self.random.random() < 0.9:
            return ""
        return self.pick(
            (
                f"; {key}=r.html",
                f'; {key}="a b.txt"',
                f"; {key}*=utf-8''r.html",
                f"; {key}*0=r; {key}*1=.html",
                f"; {key}=r (1).html",
                f';\r\n {key}="r.log"',
            )
        )

    def encoded(self, data: bytes, encoding: str) -> bytes:
        if encoding == "quoted-printable":
            code = (
                binascii.b2a_qp(data.replace(b"\r\n", b"\n"))
                .replace(b"\n", b"\r\n")
                .replace(b"\r\r\n", b"\r\n")
            )
            if self.odd():
                old, new = self.random.choice(
                    (
                        (b"=\r\n", b"= \r\n"),
                        (b"=3D", b"=3d"),
                        (b"=3D", b"="),
                        (b"=\r\n", b"=\r\r\n"),
                        (b"h", b"=68"),
                        (b"/", b"=2F"),
                        (b"=3D", b"=3"),
                        (b"=3D", b"=="),
                        (b"\r\n", b" \r\n"),
                        (b"\r\n", b"=\r\n\r\n"),
                        (b":", b"=3A=\r\n"),
                        (b"=\r\n", b"=\n"),
                        (b"=3D", b"=\r\n3D"),
                        (b"=3D", b"=3=\r\nD"),
                        (b"t", b"=\r"),
                        (b"=3D", b"=3D\x00"),
                    )
                )
                code = code.replace(old, new, self.random.choice((1, 2, 100)))
            if self.odd(0.3):
                code += b"="
            return code
        if encoding == "base64":
            width = self.random.choice((76, 76, 76, 60, 75, 4, 998, 4000))
            code = base64.b64encode(data)
            text = b"\r\n".join(code[at : at + width] for at in range(0, len(code), width))
            if self.odd():
                at = self.random.randrange(len(text) + 1)
                text = (
                    text[:at]
                    + self.random.choice(
                        (
                            b"=",
                            b"==",
                            b" ",
                            b"\r\n\r\n",
                            b"!",
                            b"-",
                            b"\x00",
                            b"A",
                            b"\t",
                            b"====",
                            b"(c)",
                            b"\r",
                        )
                    )
                    + text[at:]
                )
            if self.odd(0.5):
                text += self.random.choice(
                    (
                        b"\r\n-- \r\nlist footer https://shop.example/f",
                        b"=",
                        b"AA",
                        b"\r\n\r\nPGEgaHJlZj0i",
                        b"\r\n.\r\n",
                        b"\r\n ",
                    )
                )
            if self.odd(0.3):
                text = text.rstrip(b"=")
            return text
        return data

    def document(self) -> str:
        random = self.random
        pieces = [
            "<!DOCTYPE html>\r\n" if random.random() < 0.3 else "",
            "<html><body>\r\n" if random.random() < 0.7 else "",
        ]
        for _ in range(random.choice((1, 1, 2, 4))):
            url = self.pick(_URLS).replace("&", "&amp;")
            pieces.append(
                f'<p>{self.pick(_VOCABULARY)} <a href="{url}">{self.pick(_VOCABULARY)}</a></p>'
                + self.pick(("\r\n", "", " ", "\r\n\r\n"))
            )
            if random.random() < 0.05:
                pieces.append("<p>" + "lorem --b ipsum " * random.choice((10, 100)) + "</p>")
        pieces.append("</body></html>" if "<html>" in "".join(pieces) else "")
        pieces.append(self.pick(("", "\r\n", "\r\n\r\n")))
        return "".join(pieces)

    def text(self) -> str:
        random = self.random
        pieces = []
        for _ in range(random.choice((1, 2, 4))):
            content = " ".join(self.pick(_VOCABULARY) for _ in range(random.randrange(6)))
            pieces.append(
                f"{content} {self.pick(('', '<'))}{self.pick(_URLS)}"
                + self.pick(("\r\n", " and so on\r\n", " \r\n", "\r\n\r\n"))
            )
            if random.random() < 0.05:
                pieces.append("lorem --b ipsum " * random.choice((10, 100)) + "\r\n")
        return "".join(pieces)


def lines() -> list[bytes]:
    """Return odd lines of headers, and the fields of MIME with each odd value, in UTF-8."""
    fields = {
        "Content-Type": (*_ODD_TYPES, *(f"text/html; {parameter}" for parameter in _ODD_CHARSETS)),
        "Content-Transfer-Encoding": tuple(parameter.format("base64") for parameter in _ODD_ENCODINGS),
        "Content-Disposition": _ODD_DISPOSITIONS,
    }
    written = (f"{name}: {parameter}" for name, values in fields.items() for parameter in values)
    return [line.encode() for line in (*_ODD_LINES, *written)]


def mail(number: int, seed: str = "odd") -> bytes:
    """The mail of that number."""
    maker = _Maker(f"{seed} {number}")
    fields = [
        "From: a@example.org",
        "To: b@example.test",
        "Subject: s",
        f"Message-ID: <{number}@example.org>",
        "MIME-Version: 1.0",
    ]
    text = maker.entity(0, (), fields)
    data = text.encode("latin-1", "ignore") if maker.random.random() < 0.1 else _octets(text)
    if maker.random.random() < 0.3:
        data = data.replace(b"\r\n", b"\n")
    return data


def _octets(text: str) -> bytes:
    """Latin-1 where that is what was meant, as bodies are; other characters, of odd fields, in UTF-8."""
    return b"".join(c.encode("latin-1") if ord(c) < 256 else c.encode() for c in text)
