"""What schemathesis cannot make up by itself: pictures, whole and broken."""

import base64
import io
import struct

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def encoded(kind: str, size: tuple[int, int] = (24, 16)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 120, 40)).save(stream, kind)
    return stream.getvalue()


PNG = encoded("PNG")
WHOLE = [PNG, encoded("JPEG"), encoded("WEBP"), encoded("GIF"), encoded("TIFF"), encoded("PNG", (1, 1))]
BROKEN = [
    b"",
    b"no picture",
    PNG[:40],
    WHOLE[1][:-20],
    # A head that promises 10^10 pixels.
    PNG[:16] + struct.pack(">II", 100_000, 100_000) + PNG[24:],
    b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
]
PICTURES = WHOLE + BROKEN
pictures = st.sampled_from(PICTURES) | st.binary(max_size=200)

schemathesis.openapi.format("binary", pictures)
schemathesis.openapi.media_type("image/*", pictures)


def with_picture(value: object) -> object:
    """A picture in base64 in place of most texts, whichever the length of the text says."""
    if not isinstance(value, str) or len(value) % 4 == 3:
        return value
    return base64.b64encode(PICTURES[len(value) % len(PICTURES)]).decode()


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        if "image" in body:
            body["image"] = with_picture(body["image"])
        if isinstance(body.get("images"), list):
            body["images"] = [with_picture(image) for image in body["images"]]
    return body
