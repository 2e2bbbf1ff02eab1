"""Seeded random strings and what SAM 3's own text cleaning makes of them, as JSON on stdout.

Usage: clean_text_oracle.py COUNT SEED
The strings mix what users type with what goes wrong on its way: mojibake of several encodings and layers, HTML
entities, ligatures, full-width letters, control characters, odd white space.
"""

import html
import json
import random
import re
import sys

import ftfy

WORDS = (
    "red car|yellow school bus|person wearing a hat|café|naïve|straße|schön|Ελλάδα|привет мир|日本語|東京|한국어|"
    "हिन्दी|ไทย|مرحبا|שלום|İstanbul|“quoted”|it’s|l’été|ﬁsh|ﬂuﬃest|ĳs|ǅ|ŉ|ＡＢＣ１２３|ﾀｰﾝ|½|①|€ 100|£5|° C|naïveté|"
    "à la carte|às vezes|São Paulo|Ångström|œuvre|🐶|👨‍👩‍👧|e\u0301t\u0301|ſt|—|…|•|™|®|¿qué?|«oui»|Ãƒ|â€™|Â |NULL"
).split("|")
ENTITIES = (
    "&amp;|&amp;amp;|&lt;b&gt;|&eacute;|&EACUTE;|&NTILDE;|&nTILDE;|&notit;|&notin;|&hellip|&copy 2|&#39;|&#x2019;|"
    "&#150;|&#x80;|&#0;|&#xD800;|&#1114112;|&#11;|&#xFFFE;|&nbsp;|&unknown;|&Jscr;|&acE;|&fjlig;|&AMP;|&ampx|&#38;lt;|"
    "&szlig;|&SZLIG;|&frac12;|&FRAC12;|&&amp;;|&#xe9;&#769;|e&#x301;|&#xFEFF;x|&zwj;|&shy;"
).split("|")
CONTROL = [chr(c) for c in (0, 1, 9, 10, 11, 12, 13, 27, 28, 31, 127, 0x80, 0x85, 0x93, 0x9D, 0xA0, 0x1680, 0x2003)] + [
    "\u2028",
    "\u2029",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\ufffd",
    "\ufffc",
    "\u206a",
    "\u3000",
    "\x1b[31m",
    "\r\n",
    "<br>",
    "<",
]
ENCODINGS = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2", "mac-roman", "cp437"]


def mojibake(rng: random.Random, text: str) -> str:
    for _ in range(rng.choice([1, 1, 1, 2])):
        raw = text.encode("utf-8", "surrogatepass")
        encoding = rng.choice(ENCODINGS)
        errors = rng.choice(["strict", "replace", "ignore"])
        try:
            text = raw.decode("sloppy-windows-1252" if rng.random() < 0.3 else encoding, errors)
        except UnicodeDecodeError:
            continue
    return text.replace("\xa0", " ") if rng.random() < 0.3 else text


def sample(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(WORDS))
        elif kind < 0.6:
            parts.append(mojibake(rng, rng.choice(WORDS)))
        elif kind < 0.75:
            parts.append(rng.choice(ENTITIES))
        elif kind < 0.85:
            parts.append(rng.choice(CONTROL))
        elif kind < 0.95:
            parts.append(
                "".join(
                    chr(
                        rng.choice(
                            [
                                rng.randint(0x20, 0x17F),
                                rng.randint(0x2010, 0x2122),
                                rng.randint(0x370, 0x4FF),
                                rng.randint(0xFF00, 0xFFFF),
                            ]
                        )
                    )
                    for _ in range(rng.randint(1, 6))
                )
            )
        else:
            parts.append("<" if rng.random() < 0.3 else rng.choice(WORDS).upper())
    text = rng.choice(["", " ", "  "]).join(parts)
    return mojibake(rng, text) if rng.random() < 0.15 else text


def clean(text: str) -> str:
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    texts = [sample(rng) for _ in range(count)]
    json.dump([[text, clean(text)] for text in texts], sys.stdout)


if __name__ == "__main__":
    main()
