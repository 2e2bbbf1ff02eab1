// What the numbers were measured on.

import os from 'node:os'
import { must } from '../scripts/support/command.mjs'

/** @returns {Promise<Record<string, string | number>>} plain facts, GPU included where it is used */
export async function describeMachine(python, { device, threads }) {
  const probe = `
import json, torch, transformers
gpu = {}
if ${device.startsWith('cuda') ? 'True' : 'False'}:
    p = torch.cuda.get_device_properties(0)
    gpu = {"gpu": p.name, "gpuMemoryGb": round(p.total_memory / 2**30, 1), "cuda": torch.version.cuda}
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, **gpu}))`
  const { stdout } = await must(
    python,
    ['-c', probe],
    'The benchmark needs torch and transformers, and CUDA in torch for --device cuda.',
  )
  return {
    processor: os.cpus()[0].model.trim(),
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    threads,
    node: process.versions.node,
    ...JSON.parse(stdout),
  }
}
