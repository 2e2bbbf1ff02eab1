"""What pycocotools and numpy make of masks: reads [{width, height, bitmap}] on stdin, writes JSON to stdout."""

import json
import sys

import numpy as np
from pycocotools import mask as coco

results = []
for item in json.load(sys.stdin):
    bitmap = np.array(item["bitmap"], dtype=np.uint8).reshape(item["height"], item["width"])
    rle = coco.encode(np.asfortranarray(bitmap))
    results.append(
        {
            "counts": rle["counts"].decode(),
            "area": int(coco.area(rle)),
            "bbox": coco.toBbox(rle).tolist(),
            "packed": np.packbits(bitmap).tolist(),
        }
    )
json.dump(results, sys.stdout)
