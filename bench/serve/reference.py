"""The server that many write today: FastAPI around transformers, one image at a time, one call of the model for each text."""

import asyncio
import threading
import time
from io import BytesIO

from bench.protocol import memory_mb, serve
from bench.reference import Images


class Server(Images):
    def load(self, *, options: dict, **model: object) -> dict:
        super().load(**model)
        self.run = 0
        import uvicorn

        config = uvicorn.Config(self.app(), host="127.0.0.1", port=0, log_level="error")
        self.server = uvicorn.Server(config)
        # A daemon: it ends with the process, when the benchmark has closed its stdin.
        threading.Thread(target=lambda: asyncio.run(self.server.serve()), daemon=True).start()
        while not self.server.started:
            time.sleep(0.05)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return {"url": f"http://127.0.0.1:{port}"}

    def observed(self) -> dict:
        return {"residentMb": memory_mb("VmRSS"), "cpuMs": 1e3 * (time.process_time() - self.cpu_before)}

    def observe(self) -> dict:
        self.cpu_before = time.process_time()
        self.run += 1
        return {}

    def app(self) -> object:
        from fastapi import FastAPI, File, Form, HTTPException, UploadFile
        from fastapi.concurrency import run_in_threadpool

        app = FastAPI()
        one_at_a_time = asyncio.Lock()

        @app.post("/v1/segment")
        async def segment(image: UploadFile = File(), text: list[str] = Form()) -> dict:  # noqa: B008
            data = await image.read()
            run = self.run
            async with one_at_a_time:
                # Its clients have left with the end of their run: it would work for nobody, and the next run would wait.
                if run != self.run:
                    raise HTTPException(503)
                return await run_in_threadpool(self.answer, data, text)

        return app

    def answer(self, data: bytes, texts: list[str]) -> dict:
        """Every instance over the usual threshold, its mask as COCO run lengths."""
        import numpy as np
        from PIL import Image
        from pycocotools.mask import encode

        photo = Image.open(BytesIO(data)).convert("RGB")
        results = []
        for text in texts:
            inputs = self.processor(images=photo, text=text, return_tensors="pt")
            sizes = inputs.pop("original_sizes").tolist()
            inputs = {
                name: value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)
                for name, value in inputs.items()
            }
            with self.torch.inference_mode():
                outputs = self.model(**inputs)
                [found] = self.processor.post_process_instance_segmentation(
                    outputs, threshold=0.5, mask_threshold=0.5, target_sizes=sizes
                )
            masks = [encode(np.asfortranarray(mask.numpy().astype("uint8"))) for mask in found["masks"].cpu()]
            instances = [
                {"score": score, "box": box, "mask": {"size": mask["size"], "counts": mask["counts"].decode()}}
                for score, box, mask in zip(found["scores"].tolist(), found["boxes"].tolist(), masks, strict=True)
            ]
            results.append({"text": text, "instances": instances})
        return {"images": [{"results": results}]}


if __name__ == "__main__":
    serve(Server())
