"""transformers' Sam3Model as a worker that answers the same tasks as sam3_native_bench: `segment`.

One encoder pass a batch of images (at most 8, as the engine's), and one pass of the detector for each text over its
features: the cheapest way that transformers offers. Pixels begin and binary masks at the images' size end on the host.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import Any

from bench.protocol import Reference, serve

BATCH = 8


class Images(Reference):
    """A model and the pictures it is asked about."""

    def load(self, **request: str) -> dict:
        import torch
        from transformers import Sam3Model
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        begun = time.perf_counter()
        self.torch, self.device, self.dtype = torch, request["device"], getattr(torch, request["dtype"])
        self.model = Sam3Model.from_pretrained(request["folder"], dtype=self.dtype, attn_implementation="sdpa")
        self.model = self.model.to(self.device).eval()
        config = json.load(open(os.path.join(request["folder"], "config.json")))["detector_config"]["vision_config"]
        self.side = config["backbone_config"]["image_size"]
        self.fresh = 0
        self.synchronize()
        return {"ms": (time.perf_counter() - begun) * 1e3}

    def pixels(self, pictures: list) -> object:
        """uint8 [B,H,W,3] on the host -> [B,3,S,S] in -1..1 on the device, resized there."""
        torch = self.torch
        batch = torch.stack(pictures).to(self.device).permute(0, 3, 1, 2).float()
        size = (self.side, self.side)
        batch = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", antialias=True, align_corners=False)
        return (batch / 127.5 - 1).to(self.dtype)

    def round(self, pictures: list, rows: list[list[int]], instances: int) -> int:
        torch, masks = self.torch, 0
        height, width = pictures[0].shape[:2]
        for first in range(0, len(pictures), BATCH):
            batch = pictures[first : first + BATCH]
            vision = self.model.get_vision_features(pixel_values=self.pixels(batch))
            for row in rows:
                ids = torch.tensor([row] * len(batch), device=self.device)
                found = self.model(vision_embeds=vision, input_ids=ids, attention_mask=(ids != 0).long())
                scores = found.pred_logits.sigmoid() * found.presence_logits.sigmoid()
                best = scores.topk(min(instances, scores.shape[1])).indices
                index = best[:, :, None, None].expand(-1, -1, *found.pred_masks.shape[-2:])
                chosen = found.pred_masks.gather(1, index).float()
                for one in chosen:  # each at its image's size: all at once would take gigabytes
                    grown = torch.nn.functional.interpolate(
                        one[None], size=(height, width), mode="bilinear", align_corners=False
                    )
                    masks += len((grown[0] > 0).cpu())
                best.cpu(), scores.cpu(), found.pred_boxes.cpu()
        return masks

    def segment(self, **task: Any) -> dict:
        torch = self.torch
        images, instances = task.get("images", 1), task.get("instances", 10)
        generator = torch.Generator().manual_seed(1)
        size = (task.get("height", 800), task.get("width", 1200), 3)
        coarse = torch.rand(images, 3, 12, 12, generator=generator) * 255
        grown = torch.nn.functional.interpolate(coarse, size=size[:2], mode="bilinear")
        pictures = list(grown.permute(0, 2, 3, 1).to(torch.uint8).contiguous())

        def once() -> float:
            rows = []
            for row in task["texts"]:
                rows.append([row[0], 1000 + self.fresh % 40000, *row[2:]])
                self.fresh += 1
            begun = time.perf_counter()
            with torch.inference_mode():
                self.masks = self.round(pictures, rows, instances)
            self.synchronize()
            return (time.perf_counter() - begun) * 1e3

        for _ in range(task.get("warmups", 2)):
            once()
        ms, begun = [], time.perf_counter()
        for i in range(task.get("repeats", 10)):
            if i >= task.get("least", 2) and time.perf_counter() - begun > task.get("seconds", 5.0):
                break
            ms.append(once())
        answer = {"ms": statistics.median(ms) / images, "least_ms": min(ms) / images, "rounds": len(ms)}
        return {**answer, "masks": self.masks}


if __name__ == "__main__":
    serve(Images())
