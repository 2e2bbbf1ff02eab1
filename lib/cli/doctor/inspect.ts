/** `sam3-node inspect`: what lies below, without running a model. `inspect gpu`: the GPUs that the driver has, and what they can do. */
import { Command } from 'commander'
import { obstacle } from '../../libtorch/flavour.js'
import { nativeFiles } from '../../native/loader.js'
import { describeGpu } from './judgement.js'
import { inspectWeightsCommand } from './inspect-weights.js'
import { gpuFacts } from './machine.js'

export function inspectCommand(): Command {
  const gpu = new Command('gpu')
    .description('List the GPUs: memory, compute capability, number types. Needs neither LibTorch nor a CUDA toolkit.')
    .option('--json', 'print JSON')
    .action(inspectGpu)
  return new Command('inspect')
    .description('Look at the machine and at weights.')
    .addCommand(gpu)
    .addCommand(inspectWeightsCommand())
}

function inspectGpu({ json }: { json?: boolean }): void {
  const facts = gpuFacts(nativeFiles())
  const why = obstacle({ driver: facts.cuda, devices: facts.devices })
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...facts, usable: why === undefined, ...(why && { reason: why }) })}\n`)
    return
  }
  process.stdout.write(`driver  ${facts.driver ?? 'none'}${facts.cuda === null ? '' : `, serves CUDA ${facts.cuda}`}\n`)
  for (const [index, device] of facts.devices.entries()) process.stdout.write(`cuda:${index}  ${describeGpu(device)}\n`)
  process.stdout.write(why === undefined ? 'CUDA 12.6 can be used.\n' : `CUDA 12.6 cannot be used: ${why}.\n`)
}
